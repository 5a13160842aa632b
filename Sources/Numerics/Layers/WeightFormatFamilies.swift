internal import CKernels

/// One row of the registry of weight formats. A new format is a case of `WeightFormat` with its name, and a row.
package struct WeightFormatFamily: Sendable {
    /// Names for help texts and errors.
    package let examples: [String]
    /// The format that a name stands for; nil for a name of another family.
    package let parse: @Sendable (String) throws(NumericsError) -> WeightFormat?
    /// The layer that encodes and decodes weights of this family.
    package let layerType: any (LinearLayer & CodableLayer).Type
    /// A layer in a format of this family for so many rows of activations; nil for a format of another one.
    package let layer: @Sendable (WeightFormat, Linear, Int) throws(NumericsError) -> (any LinearLayer)?
}

extension WeightFormat {
    /// All formats, in the order in which names are looked for.
    package static let families: [WeightFormatFamily] = [float32Family, halfFamily, threeBitFamily, sparseFamily, nOfMFamily, integerFamily]

    private static let float32Family = WeightFormatFamily(
        examples: ["float32"],
        parse: { (name) throws(NumericsError) in name == "float32" ? .float32 : nil },
        layerType: Linear.self,
        layer: { (format, linear, _) throws(NumericsError) in format == .float32 ? linear : nil })

    private static let halfFamily = WeightFormatFamily(
        examples: HalfMatrix.Format.allCases.map(\.rawValue),
        parse: { (name) throws(NumericsError) in HalfMatrix.Format(rawValue: name).map(WeightFormat.half) },
        layerType: HalfLinear.self,
        layer: { (format, linear, _) throws(NumericsError) in
            guard case .half(let half) = format else { return nil }
            return try HalfLinear(linear, format: half)
        })

    private static let threeBitFamily = WeightFormatFamily(
        examples: ["w3a8-channel", "w3a8-tensor"],
        parse: { (name) throws(NumericsError) in
            switch name {
            case "w3a8", "w3a8-channel": .threeBits(.w4a8)
            case "w3a8-tensor": .threeBits(try QuantizationScheme(bits: 4, granularity: .tensor))
            default: nil
            }
        },
        layerType: QuantizedLinear.self,
        layer: { (format, linear, _) throws(NumericsError) in
            guard case .threeBits(let scheme) = format else { return nil }
            return try threeBitLayer(linear, scheme)
        })

    private static let sparseFamily = WeightFormatFamily(
        examples: sparse(BlockShape.all, { WeightFormat.sparse($0, $1) }).map(\.description),
        parse: { (name) throws(NumericsError) in sparse(BlockShape.all, { WeightFormat.sparse($0, $1) }).first { $0.description == name } },
        layerType: SparseLinear.self,
        layer: { (format, linear, rows) throws(NumericsError) in
            guard case .sparse(let shape, let values) = format else { return nil }
            let weight = try BlockSparseMatrix(
                linear.weight, mask: WeightMask(nonzerosOf: linear.weight), shape: shape, values: values, expectedRows: rows)
            return try SparseLinear(weight: weight, bias: linear.bias, activation: linear.activation)
        })

    private static let nOfMFamily = WeightFormatFamily(
        examples: sparse(NMSparsity.all, { WeightFormat.nOfM($0, $1) }).map(\.description),
        parse: { (name) throws(NumericsError) in sparse(NMSparsity.all, { WeightFormat.nOfM($0, $1) }).first { $0.description == name } },
        layerType: NMSparseLinear.self,
        layer: { (format, linear, _) throws(NumericsError) in
            guard case .nOfM(let sparsity, let values) = format else { return nil }
            let weight = try NMSparseMatrix(linear.weight, mask: WeightMask(nonzerosOf: linear.weight), sparsity: sparsity, values: values)
            return try NMSparseLinear(weight: weight, bias: linear.bias, activation: linear.activation)
        })

    private static let integerFamily = WeightFormatFamily(
        examples: [
            "w8a8", "w8a7", "w4a8", "w2a8", "ternary", "w1a8", "w1a1", "each of these with -tensor, -channel or (not w1a1) -g32, -g64, -g128, …",
        ],
        parse: { (name) throws(NumericsError) in
            guard QuantizationScheme.isWidth(name.prefix { $0 != "-" }) else { return nil }
            return .integer(try QuantizationScheme(named: name))
        },
        layerType: QuantizedLinear.self,
        layer: { (format, linear, _) throws(NumericsError) in
            guard case .integer(let scheme) = format else { return nil }
            return try QuantizedLinear(linear, scheme: scheme)
        })

    private static func sparse<Structure>(_ structures: [Structure], _ make: (Structure, SparseValues) -> WeightFormat) -> [WeightFormat] {
        structures.flatMap { structure in SparseValues.allCases.map { make(structure, $0) } }
    }

    /// Codes −4…3 to nearest; the largest magnitude that shares a scale becomes −4, as the largest of 4 bits becomes −8.
    private static func threeBitLayer(_ linear: Linear, _ scheme: QuantizationScheme) throws(NumericsError) -> QuantizedLinear {
        let weight = linear.weight, (rows, columns) = (weight.rows, weight.columns)
        if let at = weight.firstNonFinite { throw .notFinite(what: "weights", row: at.row, column: at.column) }
        var codes = [Int8](repeating: 0, count: weight.count), scales = [Float](repeating: 1, count: rows)
        let elements = weight.withUnsafeBufferPointer { Array($0) }
        func scale(_ range: Range<Int>) -> Float {
            let extreme = elements[range].reduce(Float(0)) { abs($1) > abs($0) ? $1 : $0 }
            return abs(extreme / -4) >= .leastNormalMagnitude ? extreme / -4 : 1
        }
        let shared = scheme.granularity == .tensor ? scale(0..<weight.count) : nil
        for row in 0..<rows {
            let range = row * columns..<(row + 1) * columns
            scales[row] = shared ?? scale(range)
            for place in range {
                codes[place] = Int8(max(-4, min(3, (elements[place] * (1 / scales[row])).rounded(.toNearestOrEven))))
            }
        }
        let packed = try QuantizedMatrix(rows: rows, columns: columns, scheme: scheme, codes: codes, scales: scales)
        return try QuantizedLinear(weight: packed, bias: linear.bias, activation: linear.activation)
    }
}
