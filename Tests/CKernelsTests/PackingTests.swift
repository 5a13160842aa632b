import CKernels
import CKernelsTestSupport
import Testing

/// Scales and codes of weights are the same bits whatever the thread's rounding direction and flush modes, follow one rule, and scale with
/// their weights.
@Suite struct PackingTests {
    /// 67 weights an output: ordinary ones, halves of a step, and in the last outputs subnormal ones and zeros.
    private static func weights(outputs: Int, inputs: Int, stream: UInt64) -> [Float] {
        var generator = SplitMix64(stream: stream)
        return (0..<outputs * inputs).map { at in
            let value = Float.random(in: -1...1, using: &generator)
            switch (at / inputs, at % 3) {
            case (outputs - 1, _): return 0
            case (outputs - 2, _): return value * 0x1p-130
            case (_, 0): return Float(Int.random(in: -254...254, using: &generator)) / 254
            default: return value
            }
        }
    }

    /// Calls `pack` in the usual environment and in every other one; compares what it returns.
    private func expectSameBits<Result: Equatable>(_ name: String, _ pack: () -> Result) {
        let expected = pack()
        var found: [(UInt32, Result)] = []
        withEveryFloatControl { direction in found.append((direction, pack())) }
        for (direction, result) in found { #expect(result == expected, "\(name), direction \(direction), seed \(testSeed)") }
    }

    @Test func gemmPackersIgnoreTheFloatEnvironment() {
        let k = 96, n = 9, dense = Self.weights(outputs: n, inputs: k, stream: 3300)
        for bits in [8, 4, 2, Int32(ck_ternary), 1] {
            for group in [0, 32] {
                expectSameBits("\(bits) bits, group \(group)") {
                    dense.withUnsafeBufferPointer { dense in
                        (0..<n).map { output in Self.packRow(bits, dense.baseAddress! + output * k, inputs: k, group: group) }
                    }
                }
            }
        }
    }

    /// The same bits on every instruction set, by the check in C: odd sizes, zeros of both signs, subnormals, huge weights, ties.
    @Test(arguments: InstructionSet.available) func weightsHaveTheSameCodesOnEverySet(_ set: InstructionSet) {
        for bits in [8, 4, 2, Int32(ck_ternary), 1] {
            for group in [0, 32, 96] {
                for inputs in [1, 15, 16, 31, 32, 33, 64, 67, 100, 257, 1030] {
                    for kind in 0..<7 {
                        var c = ck_test_weights_case(
                            bits: bits, inputs: inputs, outputs: 1 + inputs % 5, group: group, kind: Int32(kind), seed: testSeed &+ UInt64(inputs))
                        #expect(
                            ck_test_quantize_weights(set.isa, &c) == 1, "\(bits) bits, K \(inputs), group \(group), kind \(kind), seed \(testSeed)")
                    }
                }
            }
        }
    }

    private static func packRow(_ bits: Int32, _ row: UnsafePointer<Float>, inputs k: Int, group: Int) -> [Int64] {
        let scratch = GuardedBuffer<UInt32>(count: 2 * k), scales = GuardedBuffer<Float>(count: 3)
        let codes = GuardedBuffer<Int8>(count: k), multipliers = GuardedBuffer<Int8>(count: 3)
        for i in 0..<3 { (multipliers.elements[i], scales.elements[i]) = (1, 0) }
        var scale: Float
        if group == 0 {
            scale = ck_gemm_channel_scale(bits, k, row, scratch.base)
        } else {
            scale = ck_gemm_group_scale(bits, k, group, row, scales.base, scratch.base)
            ck_gemm_multipliers(k / group, scales.base, scale, multipliers.base)
        }
        ck_gemm_codes(bits, k, group, row, scale, multipliers.base, codes.base)
        return [Int64(scale.bitPattern)] + (scales.values.map { Int64($0.bitPattern) }) + (multipliers.values + codes.values).map(Int64.init)
    }

    @Test func sparsePackersIgnoreTheFloatEnvironment() {
        let k = 67, n = 9, dense = Self.weights(outputs: n, inputs: k, stream: 3400)
        for (rows, columns) in [(1, 1), (4, 1), (1, 4), (4, 4)] {
            expectSameBits("blocks \(rows)x\(columns)") {
                let (norms, scales, codes) = Self.quantizedBlocks(dense, inputs: k, outputs: n, rows: rows, columns: columns)
                return (norms + scales).map { Int64($0.bitPattern) } + codes.map(Int64.init)
            }
        }
        for group in [4, 8] {
            expectSameBits("N:M of \(group)") {
                let (keep, scales, values, sums) = Self.quantizedGroups(dense, inputs: k, outputs: n, group: group)
                return keep.map(Int64.init) + scales.map { Int64($0.bitPattern) } + values.map(Int64.init) + sums.map(Int64.init)
            }
        }
    }

    private static func quantizedBlocks(
        _ dense: [Float], inputs k: Int, outputs n: Int, rows: Int, columns: Int, shared: Float = 0
    ) -> (norms: [Float], scales: [Float], codes: [Int8]) {
        let strips = (n + rows - 1) / rows, across = (k + columns - 1) / columns, all = strips * across
        let norms = GuardedBuffer<Float>(count: all), offsets = GuardedBuffer<UInt32>(count: strips + 1)
        let places = GuardedBuffer<UInt32>(count: all), values = GuardedBuffer<Float>(count: all * rows * columns)
        let scales = GuardedBuffer<Float>(count: n), codes = GuardedBuffer<Int8>(count: all * rows * columns)
        ck_sparse_block_norms(dense, k, n, rows, columns, norms.base)
        _ = ck_sparse_collect(
            dense, nil, k, n, rows, columns, [UInt8](repeating: 1, count: all), offsets.base, places.base, values.base)
        ck_sparse_quantize(n, rows, columns, offsets.base, values.base, shared, scales.base, codes.base)
        return (norms.values, scales.values, codes.values)
    }

    private static func quantizedGroups(
        _ dense: [Float], inputs k: Int, outputs n: Int, group: Int
    ) -> (keep: [UInt8], scales: [Float], values: [Int8], sums: [Int32]) {
        let config = InstructionSet.available[0].kernels.spmm_f32_u8_s8nm.pointee, sizes = config.sizes(k, n)
        let keep = GuardedBuffer<UInt8>(count: n * k), codes = GuardedBuffer<UInt8>(count: sizes.codes)
        let values = GuardedBuffer<Int8>(count: sizes.values)
        let scales = GuardedBuffer<Float>(count: n), sums = GuardedBuffer<Int32>(count: n)
        ck_nm_keep_largest(dense, k, n, group / 2, group, keep.base)
        config.pack(dense, keep.base, k, n, group, codes.base, values.base, scales.base, sums.base)
        return (keep.values, scales.values, values.values, sums.values)
    }

    /// scale = largest / 127, code = rint(w · (1 / scale)): blocks and groups alike, and for every power of two the same codes.
    @Test func sparseCodesFollowTheRuleAtEveryMagnitude() {
        var generator = SplitMix64(stream: 3500)
        let k = 64
        let row = (0..<k).map { _ in Float.random(in: -1...1, using: &generator) }, largest = row.map(abs).max()!
        let usual = row.map { Int8(max(-127, min(127, ($0 * (1 / (largest / 127))).rounded(.toNearestOrEven)))) }
        for power in [0, 60, -60, 100, -110] {
            let factor = Float(sign: .plus, exponent: power, significand: 1), scaled = row.map { $0 * factor }
            let blocks = Self.quantizedBlocks(scaled, inputs: k, outputs: 1, rows: 1, columns: 1)
            #expect(blocks.codes == usual && blocks.scales == [largest / 127 * factor], "2^\(power), seed \(testSeed)")
            let shared = Self.quantizedBlocks(scaled, inputs: k, outputs: 1, rows: 1, columns: 1, shared: 2 * largest * factor)
            #expect(shared.scales == [2 * largest * factor / 127])
            let groups = Self.quantizedGroups(scaled, inputs: k, outputs: 1, group: 4)
            #expect(groups.scales == blocks.scales && groups.sums[0] == groups.values.reduce(0) { $0 + Int32($1) })
            #expect(Set(groups.values).isSubset(of: Set(usual + [0])))
        }
    }

    /// Subnormal weights have a subnormal scale, within half of which they come back; zeros have the scale 1.
    @Test func subnormalWeightsDoNotBecomeZero() {
        var generator = SplitMix64(stream: 3600)
        for most in [1, 3, 126, 127, 128, 190, 12_345, (1 << 23) - 1] {
            let units = [most] + (0..<63).map { _ in Int.random(in: -most...most, using: &generator) }
            let row = units.map { Float($0) * 0x1p-149 }
            for found in [Self.quantizedBlocks(row, inputs: 64, outputs: 1, rows: 1, columns: 1)] {
                let step = Int(found.scales[0] / 0x1p-149)
                #expect(step >= 1 && step * 127 >= most && (step - 1) * 127 < most, "\(most) units: \(step)")
                for (unit, code) in zip(units, found.codes) { #expect(2 * abs(unit - step * Int(code)) <= step, "\(unit) of \(most)") }
            }
            #expect(Self.quantizedGroups(row, inputs: 64, outputs: 1, group: 4).scales[0] > 0)
        }
        #expect(Self.quantizedBlocks([0, -0.0, 0, 0], inputs: 4, outputs: 1, rows: 1, columns: 1).scales == [1])
        #expect(Self.quantizedGroups([0, -0.0, 0, 0], inputs: 4, outputs: 1, group: 4).scales == [1])
    }
}
