import CompactNumerics
import Testing

@Suite struct AffineCodesTests {
    static let granularities: [(QuantizationScheme.Granularity, Int)] = [(.tensor, 5 * 64), (.channel, 64), (.group(32), 32), (.group(64), 64)]

    @Test(arguments: [8, 4, 2], [AffineCodes.Symmetry.symmetric, .asymmetric])
    func codesFollowTheRule(bits: Int, symmetry: AffineCodes.Symmetry) throws {
        var generator = SeededGenerator()
        let matrix = Matrix(rows: 5, columns: 64) { row, _ in Float.random(in: -1...3, using: &generator) * Float(row + 1) }
        let lowest = bits == 8 ? -127 : -(1 << (bits - 1)), highest = (1 << (bits - 1)) - 1
        for (granularity, length) in Self.granularities {
            let codes = try AffineCodes(matrix, bits: bits, granularity: granularity, symmetry: symmetry), back = codes.dequantized()
            #expect(codes.scales.count == 320 / length && codes.zeroPoints.count == codes.scales.count)
            for index in 0..<320 {
                let x = matrix[index / 64, index % 64], scale = codes.scales[index / length], zero = codes.zeroPoints[index / length]
                let code = Int(min(max((x * (1 / scale)).rounded(.toNearestOrEven) + Float(zero), Float(lowest)), Float(highest)))
                #expect(Int(codes.codes[index]) == code, "\(granularity), seed \(generator.seed)")
                #expect(back[index / 64, index % 64] == scale * Float(code - Int(zero)))
                // Half a step, and for the zero point's own rounding another half at the ends of the range.
                #expect(abs(back[index / 64, index % 64] - x) <= scale * (symmetry == .symmetric ? 0.5001 : 1.0001))
            }
            if symmetry == .symmetric { #expect(codes.zeroPoints.allSatisfy { $0 == 0 }) }
        }
    }

    @Test func hardRanges() throws {
        for value: Float in [0, 1, -1, 3e38, -3e38, Float.leastNonzeroMagnitude] {
            for symmetry in [AffineCodes.Symmetry.symmetric, .asymmetric] {
                let matrix = try Matrix(rows: 1, columns: 3, elements: [value, 0, -value])
                let back = try AffineCodes(matrix, bits: 8, symmetry: symmetry).dequantized()
                #expect(back[0, 1] == 0)
                #expect(abs(back[0, 0] - value) <= abs(value) * 0.01 + 1e-38 && abs(back[0, 2] + value) <= abs(value) * 0.01 + 1e-38)
            }
        }
        let empty = try AffineCodes(Matrix(rows: 0, columns: 7), bits: 4)
        #expect(empty.codes.isEmpty && empty.dequantized().rows == 0)
    }

    @Test func wrongInput() throws {
        let matrix = Matrix(rows: 2, columns: 10)
        #expect(throws: NumericsError.outOfRange(what: "bits of a code", allowed: "8, 4 or 2", found: "3")) { try AffineCodes(matrix, bits: 3) }
        #expect(throws: NumericsError.self) { try AffineCodes(matrix, bits: 8, granularity: .group(0)) }
        var broken = matrix
        broken[1, 3] = .nan
        #expect(throws: NumericsError.notFinite(what: "matrix", row: 1, column: 3)) { try AffineCodes(broken, bits: 8) }
    }
}
