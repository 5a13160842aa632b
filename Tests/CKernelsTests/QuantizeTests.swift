import CKernels
import CKernelsTestSupport
import Foundation
import Testing

/// The rule of quantize.h, in float64 after the one float32 product.
private func referenceCode(_ x: Float, _ inverseScale: Float, _ zeroPoint: Int32, _ range: ClosedRange<Int32>) -> Int32 {
    let product = x * inverseScale
    let code = product.isNaN ? 0 : Double(product).rounded(.toNearestOrEven) + Double(zeroPoint)
    return Int32(min(max(code, Double(range.lowerBound)), Double(range.upperBound)))
}

/// Scale, its inverse and zero point of one row of dynamic activations, as ck_affine_of_range documents them.
private func referenceMap(_ row: [Float], _ highest: Int32) -> (scale: Float, inverse: Float, zeroPoint: Int32) {
    let numbers = row.filter { !$0.isNaN }
    let low = min(numbers.min() ?? 0, 0), high = max(numbers.max() ?? 0, 0)
    let step = (high - low) / Float(highest)
    let scale = step.isNormal ? step : 1
    let inverse = 1 / scale
    return (scale, inverse, Int32(min(max((-low * inverse).rounded(.toNearestOrEven), 0), Float(highest))))
}

/// Values around the codes: ties, halves off by one place, values far outside, special bits. `specials` false: finite ones only.
private func mixedValues(_ count: Int, stream: UInt64, specials: Bool = true) -> [Float] {
    var generator = SplitMix64(stream: stream)
    return (0..<count).map { i in
        switch i % 4 {
        case 0: return Float.random(in: -300...300, using: &generator)
        case 1: return Float(Int.random(in: -600...600, using: &generator)) / 2
        case 2: return (Float(Int.random(in: -600...600, using: &generator)) / 2).nextUp
        default: return specials ? Float(bitPattern: specialFloatBits.randomElement(using: &generator)!) : Float.random(in: -1...1, using: &generator)
        }
    }
}

private func quantizeS8(_ table: ck_kernels, _ x: [Float], _ inverse: Float, _ zeroPoint: Int32, _ range: ClosedRange<Int32>, offset: Int = 0)
    -> [Int32]
{
    // Behind the numbers lies a page that nobody may touch, in turn.
    let source = offset % 2 == 0 ? GuardedBuffer(x, offset: offset) : GuardedBuffer(x, guardPage: .behind)
    let codes = GuardedBuffer<Int8>(count: x.count, offset: offset)
    table.quantize_s8_f32(source.base, x.count, inverse, zeroPoint, range.lowerBound, range.upperBound, codes.base)
    #expect(codes.guardsAreIntact)
    return codes.values.map(Int32.init)
}

private func quantizeU8(_ table: ck_kernels, _ x: [Float], _ inverse: Float, _ zeroPoint: Int32, _ range: ClosedRange<Int32>, offset: Int = 0)
    -> [Int32]
{
    // Behind the numbers lies a page that nobody may touch, in turn.
    let source = offset % 2 == 0 ? GuardedBuffer(x, offset: offset) : GuardedBuffer(x, guardPage: .behind)
    let codes = GuardedBuffer<UInt8>(count: x.count, offset: offset)
    table.quantize_u8_f32(source.base, x.count, inverse, zeroPoint, range.lowerBound, range.upperBound, codes.base)
    #expect(codes.guardsAreIntact)
    return codes.values.map(Int32.init)
}

@Suite struct QuantizeTests {
    @Test(arguments: [
        ("s8_rne", Int32(-128)...127), ("s8sym_rne", -127...127), ("s4_rne", -8...7), ("s2_rne", -2...1), ("u8_rne", 0...255), ("u4_rne", 0...15),
    ])
    func goldenVectors(format: String, range: ClosedRange<Int32>) throws {
        let vectors = try GoldenVector.all(format)
        #expect(vectors.count == 25)
        let inputs = try vectors.map { Float(bitPattern: try $0.inputBits()) }
        for set in InstructionSet.available {
            let results = (range.lowerBound < 0 ? quantizeS8 : quantizeU8)(set.kernels, inputs, 1, 0, range, 0)
            for (vector, result) in zip(vectors, results) {
                #expect(UInt32(truncatingIfNeeded: result) & 0xFF == vector.expected, "\(set.testDescription) \(format) of \(vector.input)")
            }
        }
    }

    /// The vector that tells x · (1/scale) from x / scale.
    @Test func goldenReciprocal() throws {
        let vectors = try GoldenVector.all("u8_quant_rcpmul_rne")
        try #require(vectors.count == 1)
        let operands = vectors[0].input.split(separator: "/").map { Float(bitPattern: UInt32($0, radix: 16)!) }
        for set in InstructionSet.available {
            #expect(quantizeU8(set.kernels, [operands[0]], 1 / operands[1], 0, 0...255) == [Int32(vectors[0].expected)])
        }
    }

    @Test(arguments: [
        (Int32(-127)...127, Int32(0)), (-128...127, 5), (-8...7, 0), (-8...7, -3), (-2...1, 1), (3...90, 0), (-128 ... -5, 8_388_608),
        (7...7, -8_388_608),
    ])
    func signedCodes(range: ClosedRange<Int32>, zeroPoint: Int32) {
        check(range, zeroPoint, quantizeS8)
    }

    @Test(arguments: [
        (Int32(0)...255, Int32(0)), (0...255, 255), (0...127, 64), (0...255, 256), (0...15, 8), (10...20, 0), (0...255, -7), (0...255, 8_388_608),
        (255...255, -8_388_608),
    ])
    func unsignedCodes(range: ClosedRange<Int32>, zeroPoint: Int32) {
        check(range, zeroPoint, quantizeU8)
    }

    private func check(
        _ range: ClosedRange<Int32>, _ zeroPoint: Int32, _ quantize: (ck_kernels, [Float], Float, Int32, ClosedRange<Int32>, Int) -> [Int32]
    ) {
        let values = mixedValues(500, stream: 11)
        for inverse: Float in [1, 0.37, 1e30, 0, .infinity] {
            let expected = values.map { referenceCode($0, inverse, zeroPoint, range) }
            for set in InstructionSet.available {
                for count in Array(0...67) + [values.count] {
                    let codes = quantize(set.kernels, Array(values[..<count]), inverse, zeroPoint, range, count % 17)
                    #expect(codes == Array(expected[..<count]), "\(set.testDescription), 1/scale \(inverse), \(count) elements, seed \(testSeed)")
                }
            }
        }
    }

    /// With 1/scale a power of two the product is exact: then the rounding direction has nothing left to change.
    @Test func codesIgnoreRoundingDirection() {
        let values = (-600...600).map { Float($0) / 2 }, count = values.count
        let source = GuardedBuffer(values), codes = GuardedBuffer<UInt8>(count: count), signed = GuardedBuffer<Int8>(count: count)
        let expected = values.map { UInt8(referenceCode($0, 1, 128, 0...255)) }
        let expectedSigned = values.map { Int8(referenceCode($0, 1, 0, -127...127)) }
        for set in InstructionSet.available {
            let table = set.kernels
            withEveryFloatControl { direction in
                table.quantize_u8_f32(source.base, count, 1, 128, 0, 255, codes.base)
                table.quantize_s8_f32(source.base, count, 1, 0, -127, 127, signed.base)
                #expect(codes.values == expected, "\(set.testDescription), direction \(direction)")
                #expect(signed.values == expectedSigned, "\(set.testDescription), direction \(direction)")
            }
        }
    }

    /// The same for whole rows: −64…63.5 in halves has the step ½ and the zero point 128 for codes 0…255.
    @Test func activationRowsIgnoreRoundingDirection() {
        let values = (-128...127).map { Float($0) / 2 } + (-256...254).map { Float($0) / 4 }, count = values.count
        let source = GuardedBuffer(values + values), codes = GuardedBuffer<UInt8>(count: 2 * count)
        let scales = GuardedBuffer<Float>(count: 2), zeroPoints = GuardedBuffer<Int32>(count: 2)
        let expected = values.map { UInt8(referenceCode($0, 2, 128, 0...255)) }
        for set in InstructionSet.available {
            let table = set.kernels
            withEveryFloatControl { direction in
                table.quantize_rows_u8_f32(source.base, 2, count, count, 255, codes.base, count, scales.base, zeroPoints.base)
                #expect(codes.values == expected + expected, "\(set.testDescription), direction \(direction)")
                #expect(scales.values == [0.5, 0.5] && zeroPoints.values == [128, 128], "\(set.testDescription), direction \(direction)")
            }
        }
    }

    @Test(arguments: [Int32(255), 127, 1])
    func activationRows(highest: Int32) {
        for columns in Array(0...67) + [1000] {
            let extra = columns % 5, padding = columns % 7
            var rows = (0..<4).map { mixedValues(columns, stream: UInt64(100 + columns + 1000 * $0), specials: false) }
            rows += [
                mixedValues(columns, stream: 12), Array(repeating: 0, count: columns), Array(repeating: -3.5, count: columns),
                Array(repeating: 0x1p-140, count: columns), Array(repeating: .nan, count: columns),
                (0..<columns).map { $0 % 3 == 0 ? .nan : Float($0) }, (0..<columns).map { $0 == 2 ? -.nan : -Float($0) },
                (0..<columns).map { $0 % 2 == 0 ? .greatestFiniteMagnitude : -.greatestFiniteMagnitude },
                (0..<columns).map { $0 == 1 ? .infinity : Float($0) }, (0..<columns).map { $0 == 1 ? -.infinity : Float($0) - 20 },
            ]
            let x = GuardedBuffer(rows.flatMap { $0 + Array(repeating: 1e9, count: extra) }, offset: columns % 9)
            for set in InstructionSet.available {
                let width = columns + padding
                let codes = GuardedBuffer<UInt8>(count: rows.count * width, offset: columns % 13)
                let scale = GuardedBuffer<Float>(count: rows.count), zeroPoint = GuardedBuffer<Int32>(count: rows.count)
                set.kernels.quantize_rows_u8_f32(x.base, rows.count, columns, columns + extra, highest, codes.base, width, scale.base, zeroPoint.base)
                #expect(codes.guardsAreIntact && scale.guardsAreIntact && zeroPoint.guardsAreIntact)
                for (r, row) in rows.enumerated() {
                    let map = referenceMap(row, highest)
                    let expected = row.map { UInt8(referenceCode($0, map.inverse, map.zeroPoint, 0...highest)) } + Array(repeating: 0, count: padding)
                    let place: Comment = "\(set.testDescription), row \(r), \(columns) columns, seed \(testSeed)"
                    #expect(scale.values[r] == map.scale && zeroPoint.values[r] == map.zeroPoint, place)
                    #expect(Array(codes.values[r * width..<(r + 1) * width]) == expected, place)
                }
            }
        }
    }

    /// Every real number of the row comes back within one step, zero exactly; the least one has the code 0.
    @Test func activationRowsComeBack() {
        var generator = SplitMix64(stream: 13)
        for set in InstructionSet.available {
            for _ in 0..<200 {
                let spread = Float.random(in: 0.001...1000, using: &generator), centre = Float.random(in: -1000...1000, using: &generator)
                let row = [0] + (0..<99).map { _ in centre + Float.random(in: -spread...spread, using: &generator) }
                let codes = GuardedBuffer<UInt8>(count: 100)
                var scale: Float = 0, zeroPoint: Int32 = 0
                set.kernels.quantize_rows_u8_f32(row, 1, 100, 100, 255, codes.base, 100, &scale, &zeroPoint)
                #expect(Int32(codes.values[0]) == zeroPoint)
                let back = codes.values.map { scale * Float(Int32($0) - zeroPoint) }
                #expect(zip(row, back).allSatisfy { abs($0 - $1) <= scale * 1.0001 }, "seed \(testSeed)")
                #expect(codes.values[row.indices.min { row[$0] < row[$1] }!] == 0)
            }
        }
    }

    @Test func rangesAndMagnitudes() {
        let tricky: [[Float]] = [
            [], [.nan, -.nan], [-0.0, -0.0], [0.0, -0.0], [.nan, -1, .nan], [.infinity, -.infinity, .nan, 3], [-0x1p-140, -.nan], [5], [-.infinity],
        ]
        let rows =
            tricky + (0...67).map { mixedValues($0, stream: UInt64(200 + $0)) }
            + (0...67).map { mixedValues($0, stream: UInt64(300 + $0), specials: false) }
        for set in InstructionSet.available {
            for row in rows {
                let x = GuardedBuffer(row + [9e9] + row + [9e9], offset: row.count % 7)
                let low = GuardedBuffer<Float>(count: 2), high = GuardedBuffer<Float>(count: 2), magnitude = GuardedBuffer<Float>(count: 2)
                set.kernels.row_range_f32(x.base, 2, row.count, row.count + 1, low.base, high.base)
                set.kernels.row_absmax_f32(x.base, 2, row.count, row.count + 1, magnitude.base)
                let numbers = row.filter { !$0.isNaN }.map { $0 == 0 ? 0 : $0 }  // −0 counts as +0
                let expected = [numbers.min() ?? .infinity, numbers.max() ?? -.infinity, numbers.map(abs).max() ?? 0].map(\.bitPattern)
                for r in 0..<2 {
                    #expect([low, high, magnitude].map { $0.values[r].bitPattern } == expected, "\(set.testDescription) \(row), seed \(testSeed)")
                }
                #expect(low.guardsAreIntact && high.guardsAreIntact && magnitude.guardsAreIntact)
            }
        }
    }

    @Test(arguments: [(Float(0.37), Int32(0)), (0x1p-130, 17), (3e36, -200), (1, 8_388_608), (.infinity, 3)])
    func dequantizes(scale: Float, zeroPoint: Int32) {
        for set in InstructionSet.available {
            for count in Array(0...67) + [256] {
                let codes = GuardedBuffer((0..<count).map { Int8(truncatingIfNeeded: $0 &* 77) }, offset: 3)
                let numbers = GuardedBuffer<Float>(count: count, offset: 1)
                set.kernels.dequantize_f32_s8(codes.base, count, scale, zeroPoint, numbers.base)
                #expect(numbers.guardsAreIntact)
                for (number, code) in zip(numbers.values, codes.values) {
                    let expected = scale * Float(Int32(code) - zeroPoint)
                    #expect(number == expected || expected.isNaN && number.isNaN)
                }
            }
        }
    }
}
