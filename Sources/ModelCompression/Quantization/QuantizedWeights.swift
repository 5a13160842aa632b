internal import CompactNumerics

/// Weights of one layer as plain codes, before they are packed: w = scale · multiplier · (code − zero point). Pruned weights have the code of their
/// zero point and so stay exactly 0.
internal struct QuantizedWeights: Sendable {
    let rows: Int
    let columns: Int
    let format: WeightFormat
    /// [N, K].
    var codes: [Int8]
    /// Of outputs, [N].
    var scales: [Float]
    /// [N, groups], none where the format has no groups.
    var multipliers: [Int8]
    /// [N, groups] or, without groups, [N]; none where weights are symmetric.
    var zeroPoints: [Int8]

    private var scheme: QuantizationScheme { format.scheme! }
    /// Scales of an output, with their multipliers.
    var groups: Int { max(1, scheme.groups(columns: columns)) }

    init(_ weight: Matrix, _ format: WeightFormat) {
        (rows, columns, self.format) = (weight.rows, weight.columns, format)
        codes = [Int8](repeating: 0, count: weight.count)
        scales = [Float](repeating: 1, count: weight.rows)
        (multipliers, zeroPoints) = ([], [])
    }

    /// Scale times multiplier of each group of an output.
    func groupScales(row: Int) -> [Float] {
        if multipliers.isEmpty { return [scales[row]] }
        return (0..<groups).map { scales[row] * Float(multipliers[row * groups + $0]) }
    }

    func groupZeroPoints(row: Int) -> [Int8] {
        zeroPoints.isEmpty ? Array(repeating: 0, count: groups) : Array(zeroPoints[row * groups..<(row + 1) * groups])
    }

    /// One value for each group as one for each input.
    func spread<Value>(_ values: [Value]) -> [Value] {
        let size = scheme.group == 0 ? columns : scheme.group
        return (0..<columns).map { values[$0 / size] }
    }

    /// Packed for products, without the zero points.
    ///
    /// - Throws: the errors of `QuantizedMatrix.init(rows:columns:scheme:codes:multipliers:scales:)`.
    func packed() throws(NumericsError) -> QuantizedMatrix {
        try QuantizedMatrix(rows: rows, columns: columns, scheme: scheme, codes: codes, multipliers: multipliers, scales: scales)
    }

    /// The weights that the codes stand for, [N, K], with the bits of `LinearLayer.denseWeight()` of the packed layer.
    func dequantized() -> Matrix {
        Matrix(rows: rows, columns: columns) { destination in
            var place = 0
            for row in 0..<rows {
                let (scales, zeros) = (spread(groupScales(row: row)), spread(groupZeroPoints(row: row)))
                for column in 0..<columns {
                    destination[place] = scales[column] * Float(Int32(codes[place]) - Int32(zeros[column]))
                    place += 1
                }
            }
        }
    }
}
