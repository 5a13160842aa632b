import CKernels
import CTraining
import Testing

/// Loops of training that are compiled for several instruction sets run on the set in use, and give the same bits on each.
@Suite struct TrainingClonesTests {
    /// In a process of its own, which may change the set in use.
    @Test func clonesObeyTheSetInUseAndAgree() async {
        await #expect(processExitsWith: .success) {
            var results: [ck_isa: [[UInt32]]] = [:]
            for raw in 0..<ck_isa_count.rawValue where ck_use_isa(ck_isa(raw)) {
                #expect(ck_training_isa().rawValue <= raw)
                switch ck_isa(raw) {
                case ck_isa_avx2, ck_isa_avxvnni: #expect(ck_training_isa() == ck_isa_avx2)
                case ck_isa_avx512, ck_isa_avx512vnni, ck_isa_avx512bf16: #expect(ck_training_isa() == ck_isa_avx512)
                default: #expect(ck_training_isa() == ck_isa_portable)  // arm64 has no clones: NEON is what compilers take anyway
                }
                results[ck_isa(raw)] = everyClone()
            }
            let portable = results[ck_isa_portable]!
            #expect(portable.count == 12 && portable.allSatisfy { !$0.isEmpty })
            for (isa, result) in results {
                for (index, (found, expected)) in zip(result, portable).enumerated() {
                    #expect(found == expected, "clone \(index) on \(String(cString: ck_isa_name(isa)))")
                }
            }
        }
    }
}

extension ck_isa: @retroactive Hashable {}

/// The bits that some of CTraining's listed loops compute, for lengths with every tail. `make ckernels-check` runs all of them.
private func everyClone() -> [[UInt32]] {
    var all = [[UInt32]](repeating: [], count: 12)
    for count in Array(1...33) + [1000, 1025] {
        let x = numbers(count, 1), y = numbers(count, 2), mask = (0..<count).map { UInt8($0 % 3 == 0 ? 0 : 1) }
        func note(_ index: Int, _ arrays: [Float]...) { all[index] += arrays.joined().map(\.bitPattern) }
        var (a, b, c) = (x, y, x)
        ck_relu_forward_f32(x, &a, count)
        note(0, a)
        ck_relu_backward_f32(x, y, &a, count)
        note(1, a)
        ck_add_column_sums_f32(x + y, 2, count, &b)
        note(2, b)
        ck_scale_f32(&c, count, 0.37)
        note(3, c)
        let row = numbers(count, 3), other = numbers(count, 4)
        ck_batch_norm_forward_f32(x, 1, count, row, other, y, x, &a, &b)
        note(4, a, b)
        ck_batch_norm_backward_f32(x, y, 1, count, row, other, x, y, &a)
        note(5, a)
        for isMasked in [false, true] {
            (a, b, c) = (x, y, y.map(abs))
            mask.withUnsafeBufferPointer { mask in
                let mask = isMasked ? mask.baseAddress : nil
                ck_sgd_step_f32(&a, row, &b, mask, count, 0.1, 0.9, 0.01, 1)
                note(6, a, b)
                (a, b) = (x, y)
                var step = ck_adam(rate: 0.1, first_decay: 0.9, second_decay: 0.99, second_correction: 3, epsilon: 1e-3, weight_decay: 0.01)
                ck_adam_step_f32(&a, row, &b, &c, mask, count, &step)
                note(7, a, b, c)
            }
        }
        ck_fake_codes_f32(x, count, 90, -100, 101, &a)
        note(8, a)
        let sum = ck_lsq_gradient_f32(x, a, count, 90, -100, 101, y, &b)
        all[9] += b.map(\.bitPattern) + [UInt32(truncatingIfNeeded: sum.bitPattern), UInt32(sum.bitPattern >> 32)]
        let (weights, codes) = gptqRow(count)
        note(10, weights)
        all[11] += codes.map { UInt32(bitPattern: Int32($0)) }
    }
    return all
}

private func gptqRow(_ count: Int) -> ([Float], [Int8]) {
    var weights = numbers(count, 5), codes = [Int8](repeating: 0, count: count)
    let upper = (0..<count * count).map { Float($0 % 7 - 3) / 64 + ($0 % (count + 1) == 0 ? 1 : 0) }
    ck_gptq_row_f32(
        &weights, count, upper, [Float](repeating: 0.1, count: count), [Int8](repeating: 0, count: count), nil,
        ck_code_range(lowest: -8, highest: 7, signs: 0), &codes)
    return (weights, codes)
}

/// Numbers in −1…1 with fractions that sums round, some of them negative zeros and ties.
private func numbers(_ count: Int, _ stream: Int) -> [Float] {
    (0..<count).map { i in
        let z = UInt64(i * 7 + stream) &* 0x9E37_79B9_7F4A_7C15
        return i % 11 == 5 ? -0.0 : Float(Int64(bitPattern: z) >> 40) * 0x1p-23
    }
}
