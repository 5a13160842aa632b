import CKernels
import CKernelsTestSupport
import Foundation
import Testing

/// The seven kernels of round.h behind one face: bits in, bits out.
enum Rounding: String, CaseIterable, Sendable {
    case f16, bf16, widenF16, widenBF16, tf32Even, tf32Away, tf32Zero

    static let narrowing: [Rounding] = [.f16, .bf16, .tf32Even, .tf32Away, .tf32Zero]

    var sourceBytes: Int { self == .widenF16 || self == .widenBF16 ? 2 : 4 }
    var resultBytes: Int { self == .f16 || self == .bf16 ? 2 : 4 }

    func run(_ table: ck_kernels, _ source: UnsafeRawPointer, _ result: UnsafeMutableRawPointer, _ count: Int) {
        let floats = source.assumingMemoryBound(to: Float.self), halves = source.assumingMemoryBound(to: UInt16.self)
        let floatResult = result.assumingMemoryBound(to: Float.self), halfResult = result.assumingMemoryBound(to: UInt16.self)
        switch self {
        case .f16: table.round_f16_f32(floats, halfResult, count)
        case .bf16: table.round_bf16_f32(floats, halfResult, count)
        case .widenF16: table.widen_f32_f16(halves, floatResult, count)
        case .widenBF16: table.widen_f32_bf16(halves, floatResult, count)
        case .tf32Even: table.round_tf32_even_f32(floats, floatResult, count)
        case .tf32Away: table.round_tf32_away_f32(floats, floatResult, count)
        case .tf32Zero: table.round_tf32_zero_f32(floats, floatResult, count)
        }
    }

    /// The scalar function of the same rule.
    func scalar(_ bits: UInt32) -> UInt32 {
        let x = Float(bitPattern: bits), half = UInt16(truncatingIfNeeded: bits)
        switch self {
        case .f16: return UInt32(ck_f16_from_f32(x))
        case .bf16: return UInt32(ck_bf16_from_f32(x))
        case .widenF16: return ck_f32_from_f16(half).bitPattern
        case .widenBF16: return ck_f32_from_bf16(half).bitPattern
        case .tf32Even: return ck_tf32_even(x).bitPattern
        case .tf32Away: return ck_tf32_away(x).bitPattern
        case .tf32Zero: return ck_tf32_zero(x).bitPattern
        }
    }

    /// Runs the kernel on `inputs` at the given offsets from a 64-byte boundary, in elements; checks the guards.
    func apply(_ table: ck_kernels, _ inputs: [UInt32], sourceOffset: Int = 0, resultOffset: Int = 0) -> [UInt32] {
        func with<S: FixedWidthInteger & BitwiseCopyable, R: FixedWidthInteger & BitwiseCopyable>(_: S.Type, _: R.Type) -> [UInt32] {
            let source = GuardedBuffer(inputs.map { S(truncatingIfNeeded: $0) }, offset: sourceOffset)
            let result = GuardedBuffer<R>(count: inputs.count, offset: resultOffset)
            run(table, source.base, result.base, inputs.count)
            #expect(result.guardsAreIntact && source.guardsAreIntact)
            return result.values.map { UInt32(truncatingIfNeeded: $0) }
        }
        switch (sourceBytes, resultBytes) {
        case (4, 2): return with(UInt32.self, UInt16.self)
        case (2, 4): return with(UInt16.self, UInt32.self)
        default: return with(UInt32.self, UInt32.self)
        }
    }
}

/// A binary format: significand bits (without the hidden one), the exponent of its smallest normal number, of its greatest.
private struct BinaryFormat {
    let stored: Int, minimumExponent: Int, maximumExponent: Int
    static let f16 = BinaryFormat(stored: 10, minimumExponent: -14, maximumExponent: 15)
    static let bf16 = BinaryFormat(stored: 7, minimumExponent: -126, maximumExponent: 127)
    static let tf32 = BinaryFormat(stored: 10, minimumExponent: -126, maximumExponent: 127)

    /// x rounded to this format, as a float64: the quotient by the last place is exact there.
    func rounded(_ x: Float, _ rule: FloatingPointRoundingRule) -> Double {
        if x == 0 || !x.isFinite { return Double(x) }
        let lastPlace = scalbn(1.0, max(Int(x.exponent), minimumExponent) - stored)
        let result = (Double(x) / lastPlace).rounded(rule) * lastPlace
        let limit = scalbn(1.0, maximumExponent + 1)
        return abs(result) < limit ? result : result < 0 ? -.infinity : .infinity
    }
}

/// Inputs of all kinds: uniform bits, uniform values, special ones and their neighbours.
private func mixedInputs(_ count: Int, stream: UInt64) -> [UInt32] {
    var generator = SplitMix64(stream: stream)
    return (0..<count).map { i in
        switch i % 3 {
        case 0: return UInt32.random(in: 0...UInt32.max, using: &generator)
        case 1: return Float.random(in: -70000...70000, using: &generator).bitPattern
        default: return specialFloatBits.randomElement(using: &generator)! &+ UInt32.random(in: 0...2, using: &generator) &- 1
        }
    }
}

@Suite struct RoundTests {
    @Test(arguments: [
        ("f16", Rounding.f16, 61), ("bf16", .bf16, 55), ("tf32_rne", .tf32Even, 55), ("tf32_rna", .tf32Away, 55), ("tf32_rz", .tf32Zero, 55),
    ])
    func goldenVectors(format: String, rounding: Rounding, count: Int) throws {
        let vectors = try GoldenVector.all(format)
        #expect(vectors.count == count)
        let inputs = try vectors.map { try $0.inputBits() }
        for set in InstructionSet.available {
            let results = rounding.apply(set.kernels, inputs)
            for (vector, result) in zip(vectors, results) {
                #expect(result == vector.expected, "\(set.testDescription) \(format) of \(vector.input)")
                #expect(try rounding.scalar(vector.inputBits()) == vector.expected, "scalar \(format) of \(vector.input)")
            }
        }
    }

    @Test(arguments: Rounding.narrowing)
    func agreesWithFloat64(rounding: Rounding) {
        let inputs = mixedInputs(60_000, stream: 1).filter { !Float(bitPattern: $0).isNaN }
        for set in InstructionSet.available {
            let results = rounding.apply(set.kernels, inputs)
            let wrong = zip(inputs, results).first { input, result in
                let x = Float(bitPattern: input)
                let expected: Double, value: Double
                switch rounding {
                case .f16: (expected, value) = (BinaryFormat.f16.rounded(x, .toNearestOrEven), Double(ck_f32_from_f16(UInt16(result))))
                case .bf16: (expected, value) = (BinaryFormat.bf16.rounded(x, .toNearestOrEven), Double(ck_f32_from_bf16(UInt16(result))))
                case .tf32Even: (expected, value) = (BinaryFormat.tf32.rounded(x, .toNearestOrEven), Double(Float(bitPattern: result)))
                case .tf32Away: (expected, value) = (BinaryFormat.tf32.rounded(x, .toNearestOrAwayFromZero), Double(Float(bitPattern: result)))
                default: (expected, value) = (BinaryFormat.tf32.rounded(x, .towardZero), Double(Float(bitPattern: result)))
                }
                return value != expected || value.sign != x.sign
            }
            #expect(wrong == nil, "\(set.testDescription): \(wrong.map { "\(hex($0.0)) gives \(hex($0.1))" } ?? ""), seed \(testSeed)")
        }
    }

    @Test(arguments: [Rounding.widenF16, .widenBF16])
    func widensEveryBitPattern(rounding: Rounding) {
        let f16 = rounding == .widenF16
        let stored = f16 ? 10 : 7, bias = f16 ? 15 : 127, exponentMask = f16 ? 0x1F : 0xFF
        let expected = (0..<0x1_0000).map { bits -> UInt32 in
            let sign: UInt32 = bits & 0x8000 != 0 ? 0x8000_0000 : 0
            let exponent = bits >> stored & exponentMask, significand = bits & (1 << stored - 1)
            if exponent == exponentMask {
                return sign | 0x7F80_0000 | UInt32(significand) << (23 - stored) | (significand != 0 ? 0x40_0000 : 0)
            }
            let hidden = exponent == 0 ? 0 : 1 << stored
            return sign | Float(scalbn(Double(significand + hidden), max(exponent, 1) - bias - stored)).bitPattern
        }
        for set in InstructionSet.available {
            #expect(rounding.apply(set.kernels, Array(0..<0x1_0000)) == expected, "\(set.testDescription)")
        }
        #expect((0..<0x1_0000).map { rounding.scalar($0) } == expected)
    }

    /// Narrowing what was widened returns the same bits, NaNs made quiet.
    @Test func roundTripIsExact() {
        for bits in UInt16.min...UInt16.max {
            let f16NaN = bits & 0x7FFF > 0x7C00, bf16NaN = bits & 0x7FFF > 0x7F80
            #expect(ck_f16_from_f32(ck_f32_from_f16(bits)) == (f16NaN ? bits | 0x200 : bits))
            #expect(ck_bf16_from_f32(ck_f32_from_bf16(bits)) == (bf16NaN ? bits | 0x40 : bits))
        }
    }

    @Test(arguments: Rounding.allCases)
    func everyTailAndOffset(rounding: Rounding) {
        let inputs = mixedInputs(100, stream: 2)
        let expected = inputs.map(rounding.scalar)
        for set in InstructionSet.available {
            let table = set.kernels
            for count in 0...100 {
                let offset = count % 17
                let results = rounding.apply(table, Array(inputs[..<count]), sourceOffset: offset, resultOffset: (3 * offset + 1) % 17)
                #expect(results == Array(expected[..<count]), "\(set.testDescription), \(count) elements, seed \(testSeed)")
            }
        }
    }

    @Test(arguments: Rounding.allCases)
    func ignoresRoundingDirectionAndFlushModes(rounding: Rounding) {
        let inputs = mixedInputs(4099, stream: 3)
        let source4 = GuardedBuffer(inputs), source2 = GuardedBuffer(inputs.map { UInt16(truncatingIfNeeded: $0) })
        let source = rounding.sourceBytes == 4 ? UnsafeRawPointer(source4.base) : UnsafeRawPointer(source2.base)
        let usual = GuardedBuffer<UInt32>(count: inputs.count), hostile = GuardedBuffer<UInt32>(count: inputs.count)
        for set in InstructionSet.available {
            let table = set.kernels
            rounding.run(table, source, usual.base, inputs.count)
            withEveryFloatControl { direction in
                rounding.run(table, source, hostile.base, inputs.count)
                let same = memcmp(usual.base, hostile.base, inputs.count * rounding.resultBytes) == 0
                #expect(same, "\(set.testDescription), direction \(direction), seed \(testSeed)")
            }
        }
    }

    /// Large destinations take another path (stores past the caches), with a head up to the alignment of these.
    @Test(arguments: Rounding.allCases)
    func largeBuffers(rounding: Rounding) {
        let count = (9 << 20) / rounding.resultBytes + 13
        var generator = SplitMix64(stream: 4)
        let source = GuardedBuffer<UInt64>(count: count * rounding.sourceBytes / 8 + 1)
        for i in source.elements.indices { source.elements[i] = generator.next() }
        func results(_ set: InstructionSet, offset: Int) -> GuardedBuffer<UInt8> {
            let result = GuardedBuffer<UInt8>(count: count * rounding.resultBytes, offset: offset * rounding.resultBytes)
            rounding.run(set.kernels, source.base, result.base, count)
            return result
        }
        let expected = results(InstructionSet.available[0], offset: 0)
        for set in InstructionSet.available.dropFirst() {
            for offset in [0, 1, 5] {
                let found = results(set, offset: offset)
                #expect(
                    memcmp(found.base, expected.base, count * rounding.resultBytes) == 0, "\(set.testDescription), offset \(offset), seed \(testSeed)"
                )
                #expect(found.guardsAreIntact)
            }
        }
    }

    @Test(arguments: [Rounding.tf32Even, .tf32Away, .tf32Zero])
    func worksInPlace(rounding: Rounding) {
        let inputs = mixedInputs(3 << 20, stream: 5)
        for set in InstructionSet.available {
            let apart = GuardedBuffer<UInt32>(count: inputs.count), buffer = GuardedBuffer(inputs, offset: 1)
            rounding.run(set.kernels, buffer.base, apart.base, inputs.count)
            rounding.run(set.kernels, buffer.base, buffer.base, inputs.count)
            #expect(memcmp(buffer.base, apart.base, inputs.count * 4) == 0, "\(set.testDescription)")
        }
    }

    /// All 2³² inputs in release builds, one of 1021 (a prime) in debug ones.
    @Test(arguments: Rounding.narrowing)
    func allInputsAgreeWithPortable(rounding: Rounding) {
        #if DEBUG
            let stride: UInt32 = 1021
        #else
            let stride: UInt32 = 1
        #endif
        let first = UInt32(testSeed % UInt64(stride))
        let portable = InstructionSet.available[0].kernels
        for set in InstructionSet.available.dropFirst() where set.isa == ck_isa_avx2 || set.isa == ck_isa_neon {
            let table = set.kernels
            var difference: UInt32 = 0
            let agree: Bool
            switch rounding {
            case .f16: agree = ck_test_sweep_16(portable.round_f16_f32, table.round_f16_f32, first, stride, &difference)
            case .bf16: agree = ck_test_sweep_16(portable.round_bf16_f32, table.round_bf16_f32, first, stride, &difference)
            case .tf32Even: agree = ck_test_sweep_32(portable.round_tf32_even_f32, table.round_tf32_even_f32, first, stride, &difference)
            case .tf32Away: agree = ck_test_sweep_32(portable.round_tf32_away_f32, table.round_tf32_away_f32, first, stride, &difference)
            default: agree = ck_test_sweep_32(portable.round_tf32_zero_f32, table.round_tf32_zero_f32, first, stride, &difference)
            }
            #expect(agree, "\(set.testDescription) differs at \(hex(difference))")
        }
    }
}
