import CompactNumerics
import Testing

/// Numbers that a format cannot hold are errors, or clamped where that is asked for.
@Suite struct ValueTests {
    private static let limits: [(HalfMatrix.Format, largest: Float, least: Float)] = [
        // The first numbers that round to infinity lie half a unit above the largest.
        (.fp16, 65504, 65520), (.bf16, Float(bitPattern: 0x7F7F_0000), Float(bitPattern: 0x7F7F_8000)),
        (.bf16a16, Float(bitPattern: 0x7F7F_0000), Float(bitPattern: 0x7F7F_8000)),
    ]

    @Test(arguments: limits) func overflowIsRefusedOrClamped(format: HalfMatrix.Format, largest: Float, least: Float) throws {
        for sign: Float in [1, -1] {
            for fits in [largest, least.nextDown] {
                #expect(try HalfMatrix(Matrix(rows: 1, columns: 1, elements: [sign * fits]), format: format).widened()[0, 0] == sign * largest)
            }
            for beyond in [least, .greatestFiniteMagnitude] {
                let weight = try Matrix(rows: 2, columns: 3, elements: [1, 2, 3, 4, 5, sign * beyond])
                let error = #expect(throws: NumericsError.self) { try HalfMatrix(weight, format: format) }
                #expect(error?.description.hasPrefix("\(format.rawValue) weight at row 1, column 2: expected a number that rounds") == true)
                let clamped = try HalfLinear(Linear(weight: weight), format: format, overflow: .clamped).denseWeight()
                #expect(clamped[1, 2] == sign * largest && clamped[1, 1] == 5)
            }
        }
        let seventy = try Linear(weight: Matrix(rows: 1, columns: 1, elements: [70_000]))
        #expect(throws: NumericsError.self) { try HalfLinear(seventy, format: .fp16) }
        #expect(try HalfLinear(seventy, format: .bf16).denseWeight()[0, 0] == BF16(70_000).floatValue)
    }

    @Test(arguments: HalfMatrix.Format.allCases) func weightsThatAreNoNumbersAreRefused(format: HalfMatrix.Format) throws {
        for value: Float in [.nan, .infinity, -.infinity] {
            let weight = try Matrix(rows: 2, columns: 2, elements: [1, 2, value, 4])
            for overflow in [HalfMatrix.Overflow.refused, .clamped] {
                #expect(throws: NumericsError.notFinite(what: "weights", row: 1, column: 0)) {
                    try HalfMatrix(weight, format: format, overflow: overflow)
                }
            }
            for (scale, shift) in [(value, 0), (1, value)] as [(Float, Float)] {
                #expect(throws: NumericsError.self) { try ScaleShift(scale: [1, scale], shift: [0, shift]) }
            }
        }
        let infinity: UInt16 = format == .fp16 ? 0x7C00 : 0x7F80
        for pattern in [infinity, infinity | 0x8000, infinity | 1, 0xFFFF] {
            #expect(throws: NumericsError.self) { try HalfMatrix(rows: 1, columns: 2, format: format, patterns: [0, pattern]) }
        }
    }

    @Test(arguments: HalfMatrix.Format.allCases) func patternsComeBackExactly(format: HalfMatrix.Format) throws {
        var generator = SeededGenerator()
        for (n, k) in [(1, 1), (17, 5), (32, 9)] {
            let patterns = (0..<n * k).map { _ in UInt16.random(in: 0...0x7BFF, using: &generator) | (Bool.random(using: &generator) ? 0x8000 : 0) }
            let half = try HalfMatrix(rows: n, columns: k, format: format, patterns: patterns)
            #expect(half.patterns() == patterns, "seed \(generator.seed)")
        }
    }

    /// Weights far below the normal numbers keep their ratios; they do not become zeros.
    @Test(arguments: [3, 126, 200, 100_000]) func subnormalWeightsKeepTheirCodes(largest: Int) throws {
        let weight = Matrix(rows: 2, columns: 8) { row, column in
            Float(sign: column % 2 == 0 ? .plus : .minus, exponent: -149, significand: Float(largest * (column + 1) / 8 * (row + 1) / 2))
        }
        let unit = Float.leastNonzeroMagnitude
        for dense in [
            try BlockSparseMatrix(weight, sparsity: 0, shape: .single, values: .int8).dense(),
            try NMSparseMatrix(
                weight, mask: WeightMask(rows: 2, columns: 8, keeps: (0..<16).map { $0 % 8 >= 4 }), sparsity: .fourOfEight, values: .int8
            )
            .dense(),
        ] {
            for row in 0..<2 {
                for column in 4..<8 {
                    // Half a step of the scale, which is at least the smallest number there is.
                    let step = max(Float(largest) / 127, 1).rounded(.up)
                    #expect(abs(dense[row, column] / unit - weight[row, column] / unit) <= step / 2 + 1)
                }
            }
            #expect(dense[1, 7] != 0)
        }
    }

    @Test func checkedCallsNameWhatIsWrong() throws {
        let layer = try QuantizedLinear(Linear(weight: Matrix(rows: 2, columns: 3) { Float($0 + $1 + 1) }), scheme: .w8a8)
        let x = Matrix(rows: 2, columns: 3) { Float($0 - $1) }
        #expect(try layer.checked(x).bits == layer(x).bits)
        for value: Float in [.nan, .infinity] {
            var wrong = x
            wrong[1, 2] = value
            #expect(throws: NumericsError.notFinite(what: "input of QuantizedLinear", row: 1, column: 2)) { try layer.checked(wrong) }
        }
        #expect(throws: NumericsError.shapeMismatch(what: "input of QuantizedLinear", expected: "2×3", found: "2×4")) {
            try layer.checked(Matrix(rows: 2, columns: 4))
        }
        let large = try Linear(weight: Matrix(rows: 1, columns: 1, elements: [.greatestFiniteMagnitude]))
        #expect(throws: NumericsError.notFinite(what: "output of Linear", row: 0, column: 0)) {
            try large.checked(Matrix(rows: 1, columns: 1, elements: [2]))
        }
    }
}
