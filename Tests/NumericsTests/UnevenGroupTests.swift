import CompactNumerics
import Testing

/// Groups that do not divide the inputs: the last one is shorter.
@Suite struct UnevenGroupTests {
    static let schemes = [
        "w8a8-g32", "w8a7-g64", "w4a8-g32", "w4a8-g96", "w4a8-g128", "w2a8-g32", "w2a8-g128", "ternary-g64", "w1a8-g32", "w1a8-g160",
    ]

    @Test(arguments: schemes, [1, 31, 33, 100, 257]) func packedCodesComeBack(name: String, columns: Int) throws {
        let scheme = try QuantizationScheme(named: name), size = { if case .group(let size) = scheme.granularity { size } else { 0 } }()
        var generator = SeededGenerator()
        let groups = (columns + size - 1) / size, codes = generator.codes(scheme, 5 * columns), scales = generator.numbers(5)
        let multipliers = (0..<5 * groups).map { _ in Int8.random(in: -127...127, using: &generator) }
        let matrix = try QuantizedMatrix(rows: 5, columns: columns, scheme: scheme, codes: codes, multipliers: multipliers, scales: scales)
        let dense = matrix.dequantized(), parts = matrix.unpacked()
        #expect(parts.codes == codes && parts.multipliers == multipliers && parts.scales == scales, "seed \(generator.seed)")
        for row in 0..<5 {
            #expect(matrix.codes(row: row) == Array(codes[row * columns..<(row + 1) * columns]))
            for column in 0..<columns {
                let scale = scales[row] * Float(multipliers[row * groups + column / size])
                #expect(dense[row, column] == scale * Float(codes[row * columns + column]))
            }
        }
        #expect(throws: NumericsError.shapeMismatch(what: "multipliers", expected: "\(5 * groups)", found: "\(5 * groups - 1)")) {
            try QuantizedMatrix(
                rows: 5, columns: columns, scheme: scheme, codes: codes, multipliers: Array(multipliers.dropLast()), scales: scales)
        }
    }

    /// Outputs are those of the weights that the codes stand for, with the dynamic codes of X; K of the layer stays what it was.
    @Test(arguments: schemes, [33, 100, 257]) func productsUseAllInputs(name: String, columns: Int) throws {
        let scheme = try QuantizationScheme(named: name)
        var generator = SeededGenerator()
        let weight = generator.matrix(19, columns), bias = generator.numbers(19)
        let layer = try QuantizedLinear(Linear(weight: weight, bias: bias), scheme: scheme), dense = layer.denseWeight()
        #expect(layer.inputs == columns && dense.columns == columns)
        for rows in [1, 3, 9] {
            // Integers that span all codes: those are exact.
            let high = Int(scheme.activations.highest) - 50
            var x = Matrix(rows: rows, columns: columns) { _, _ in Float(Int.random(in: -50...high, using: &generator)) }
            for row in 0..<rows { (x[row, 0], x[row, columns - 1]) = (-50, Float(high)) }
            #expect(worstError(layer(x), reference(x, dense, bias), terms: columns + 4) <= 1, "\(rows) rows, seed \(generator.seed)")
        }
    }

    @Test(arguments: ["w8a8-g32", "w4a8-g96", "w2a8-g128"]) func zeroPointsOfGroups(name: String) throws {
        let scheme = try QuantizationScheme(named: name), size = { if case .group(let size) = scheme.granularity { size } else { 0 } }()
        var generator = SeededGenerator()
        let columns = 100, groups = (columns + size - 1) / size, codes = generator.codes(scheme, 3 * columns)
        let multipliers = (0..<3 * groups).map { _ in Int8.random(in: 1...127, using: &generator) }, zeroPoints = generator.codes(scheme, 3 * groups)
        let matrix = try QuantizedMatrix(rows: 3, columns: columns, scheme: scheme, codes: codes, multipliers: multipliers, scales: [1, 2, 4])
        let layer = try WeightOnlyLinear(weight: matrix, zeroPoints: zeroPoints), dense = layer.denseWeight()
        for row in 0..<3 {
            for column in 0..<columns {
                let group = row * groups + column / size, code = Int(codes[row * columns + column]) - Int(zeroPoints[group])
                #expect(dense[row, column] == Float(1 << row) * Float(multipliers[group]) * Float(code))
            }
        }
        let x = generator.matrix(5, columns)
        #expect(worstError(layer(x), reference(x, dense, nil), terms: columns) <= 1, "seed \(generator.seed)")
        #expect(throws: NumericsError.self) { try WeightOnlyLinear(weight: matrix, zeroPoints: zeroPoints + [0]) }
    }

    /// Plain codes, too; each group as if it were alone.
    @Test(arguments: [8, 4, 2], [1, 3, 7, 10, 64]) func affineCodes(bits: Int, size: Int) throws {
        var generator = SeededGenerator()
        let matrix = generator.matrix(4, 10)
        for symmetry in [AffineCodes.Symmetry.symmetric, .asymmetric] {
            let codes = try AffineCodes(matrix, bits: bits, granularity: .group(size), symmetry: symmetry), dense = codes.dequantized()
            #expect(codes.scales.count == 4 * ((10 + size - 1) / size) && codes.codes.count == 40)
            for row in 0..<4 {
                for first in stride(from: 0, to: 10, by: size) {
                    let count = min(size, 10 - first), own = Matrix(rows: 1, columns: count) { matrix[row, first + $1] }
                    let alone = try AffineCodes(own, bits: bits, symmetry: symmetry).dequantized()
                    for column in 0..<count { #expect(dense[row, first + column] == alone[0, column], "seed \(generator.seed)") }
                }
            }
        }
    }

    /// Elements times 2ᵏ have scales times 2ᵏ and the same codes.
    @Test func numbersOfAnySize() throws {
        var generator = SeededGenerator()
        let matrix = generator.matrix(4, 100)
        for exponent in [-60, -30, -1, 1, 40, 60] {
            let factor = Float(sign: .plus, exponent: exponent, significand: 1), scaled = Matrix(rows: 4, columns: 100) { matrix[$0, $1] * factor }
            for bits in [8, 4, 2] {
                for symmetry in [AffineCodes.Symmetry.symmetric, .asymmetric] {
                    let a = try AffineCodes(matrix, bits: bits, granularity: .group(30), symmetry: symmetry)
                    let b = try AffineCodes(scaled, bits: bits, granularity: .group(30), symmetry: symmetry)
                    #expect(a.codes == b.codes && a.zeroPoints == b.zeroPoints && b.scales == a.scales.map { $0 * factor })
                }
            }
            for name in Self.schemes + ["w8a8", "w4a8", "w4a8-tensor", "w2a8", "ternary", "ternary-tensor", "w1a8", "w1a1"] {
                let scheme = try QuantizationScheme(named: name)
                let (a, b) = (try QuantizedMatrix(matrix, scheme: scheme).unpacked(), try QuantizedMatrix(scaled, scheme: scheme).unpacked())
                #expect(a.codes == b.codes && a.multipliers == b.multipliers && b.scales == a.scales.map { $0 * factor }, "\(name) 2^\(exponent)")
            }
        }
    }
}
