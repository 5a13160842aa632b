import CKernels
import Foundation
import Testing

/// A matrix packed as one instruction set wants it.
private final class PackedSlots {
    private let inputs: Int, outputs: Int, group: Int
    private let codes: GuardedBuffer<UInt32>, values: GuardedBuffer<Float>
    private let byteCodes: GuardedBuffer<UInt8>, bytes: GuardedBuffer<Int8>, scales: GuardedBuffer<Float>, sums: GuardedBuffer<Int32>

    init(_ set: InstructionSet, _ dense: [Float], _ keep: [UInt8], inputs: Int, outputs: Int, group: Int, guardPage: GuardPage) {
        (self.inputs, self.outputs, self.group) = (inputs, outputs, group)
        let floatConfig = set.kernels.spmm_f32_f32_nm.pointee, codeConfig = set.kernels.spmm_f32_u8_s8nm.pointee
        let floatSizes = floatConfig.sizes(inputs, outputs), codeSizes = codeConfig.sizes(inputs, outputs)
        codes = GuardedBuffer(count: floatSizes.codes, guardPage: guardPage)
        values = GuardedBuffer(count: floatSizes.values, guardPage: guardPage)
        byteCodes = GuardedBuffer(count: codeSizes.codes, guardPage: guardPage)
        bytes = GuardedBuffer(count: codeSizes.values, guardPage: guardPage)
        (scales, sums) = (GuardedBuffer(count: outputs, guardPage: guardPage), GuardedBuffer(count: outputs, guardPage: guardPage))
        floatConfig.pack(dense, keep, inputs, outputs, group, codes.base, values.base)
        codeConfig.pack(dense, keep, inputs, outputs, group, byteCodes.base, bytes.base, scales.base, sums.base)
        let intact = [
            codes.guardsAreIntact, values.guardsAreIntact, byteCodes.guardsAreIntact, bytes.guardsAreIntact, scales.guardsAreIntact,
            sums.guardsAreIntact,
        ]
        #expect(!intact.contains(false))
    }

    var outputScales: [Float] { scales.values }
    var float32: ck_nm_f32 { ck_nm_f32(inputs: inputs, outputs: outputs, group: group, codes: codes.base, values: values.base) }
    var int8: ck_nm_s8 {
        ck_nm_s8(inputs: inputs, outputs: outputs, group: group, codes: byteCodes.base, values: bytes.base, scales: scales.base, sums: sums.base)
    }
}

/// Random weights of 2:4 or 4:8 sparsity, dense and packed for both kinds of kernels; some groups keep fewer than they may.
private final class NMWeights {
    let inputs: Int, outputs: Int, group: Int
    let dense: [Float], keep: [UInt8]
    private var packed: [UInt32: PackedSlots] = [:]

    init(inputs: Int, outputs: Int, group: Int, generator: inout SplitMix64, weight: (inout SplitMix64) -> Float) {
        (self.inputs, self.outputs, self.group) = (inputs, outputs, group)
        var dense = [Float](repeating: 0, count: inputs * outputs), keep = [UInt8](repeating: 0, count: inputs * outputs)
        for n in 0..<outputs {
            for first in stride(from: 0, to: inputs, by: group) {
                let places = (first..<min(first + group, inputs)).shuffled(using: &generator)
                for k in places.prefix(Int.random(in: 0...3, using: &generator) == 0 ? group / 2 - 1 : group / 2) {
                    keep[n * inputs + k] = 1
                    dense[n * inputs + k] = weight(&generator)
                }
            }
        }
        (self.dense, self.keep) = (dense, keep)
    }

    func packed(for set: InstructionSet) -> PackedSlots {
        if let slots = packed[set.rawValue] { return slots }
        // Before or behind a page that nobody may touch, in turn.
        let slots = PackedSlots(
            set, dense, keep, inputs: inputs, outputs: outputs, group: group, guardPage: (inputs + outputs) % 2 == 0 ? .before : .behind)
        packed[set.rawValue] = slots
        return slots
    }

    /// Y[M, N] in one call or, `split`, in several ranges of rows and panels.
    func product(
        _ set: InstructionSet, rows: Int, bias: [Float]?, relu: Bool, split: Bool, panelOutputs: Int,
        call: (inout ck_sparse_output, Range<Int>, Range<Int>) -> Void
    ) -> [Float] {
        let stride = outputs + 3, y = GuardedBuffer<Float>(count: (rows - 1) * stride + outputs), biases = GuardedBuffer(bias ?? [])
        var output = ck_sparse_output(
            data: y.base, stride: stride, layout: ck_row_major, bias: bias == nil ? nil : UnsafePointer(biases.base), relu: relu ? 1 : 0)
        let panels = (outputs + panelOutputs - 1) / panelOutputs, before = y.values.map(\.bitPattern)
        for (first, last) in split ? [(0, rows / 3), (rows / 3, rows)] : [(0, rows)] where first < last {
            for (begin, end) in split ? [(0, panels / 2), (panels / 2, panels)] : [(0, panels)] where begin < end {
                call(&output, first..<last, begin..<end)
            }
        }
        #expect(y.guardsAreIntact)
        let all = y.values
        for m in 0..<rows - 1 { for n in outputs..<stride { #expect(all[m * stride + n].bitPattern == before[m * stride + n]) } }
        return (0..<rows).flatMap { all[$0 * stride..<$0 * stride + outputs] }
    }

    func floats(_ set: InstructionSet, _ x: [Float], rows: Int, bias: [Float]? = nil, relu: Bool = false, split: Bool = false) -> [Float] {
        let source = GuardedBuffer(x, guardPage: .behind)
        var input = ck_sparse_input(data: source.base, rows: rows, stride: inputs, layout: ck_row_major, fixed_scale: 0, fixed_zero_point: 0),
            weights = packed(for: set).float32
        let config = set.kernels.spmm_f32_f32_nm.pointee, scratch = GuardedBuffer<UInt8>(count: config.workspace_bytes(inputs, outputs))
        defer { #expect(scratch.guardsAreIntact) }
        return product(set, rows: rows, bias: bias, relu: relu, split: split, panelOutputs: config.n_step) { output, m, n in
            config.kernel(&weights, &input, &output, m.lowerBound, m.upperBound, n.lowerBound, n.upperBound, scratch.base)
        }
    }

    func integers(_ set: InstructionSet, _ x: [UInt8], rows: Int, zeroPoints: [Int32], split: Bool = false) -> [Float] {
        let stride = (inputs + 7) / 8 * 8, codes = GuardedBuffer<UInt8>(count: rows * stride, guardPage: .behind)
        for m in 0..<rows { for k in 0..<stride { codes.elements[m * stride + k] = k < inputs ? x[m * inputs + k] : 0 } }
        let ones = GuardedBuffer([Float](repeating: 1, count: rows)), zeros = GuardedBuffer(zeroPoints)
        var activations = ck_nm_activations(codes: codes.base, stride: stride, scales: ones.base, zero_points: zeros.base),
            weights = packed(for: set).int8
        let config = set.kernels.spmm_f32_u8_s8nm.pointee
        return product(set, rows: rows, bias: nil, relu: false, split: split, panelOutputs: config.n_step) { output, m, n in
            config.kernel(&weights, &activations, &output, m.lowerBound, m.upperBound, n.lowerBound, n.upperBound)
        }
    }
}

@Suite struct SparseNMTests {
    static let sizes = [
        (1, 1, 1), (2, 3, 7), (3, 8, 8), (4, 15, 9), (5, 16, 16), (6, 17, 33), (7, 31, 5), (8, 32, 65), (13, 100, 40), (1, 513, 31), (2, 640, 64),
        (11, 1030, 17), (25, 2100, 3),
    ]

    @Test(arguments: [4, 8]) func float32ProductsAreWithinTheBound(group: Int) {
        var generator = SplitMix64(stream: UInt64(2300 + group))
        for (i, (m, k, n)) in Self.sizes.enumerated() {
            let w = NMWeights(inputs: k, outputs: n, group: group, generator: &generator) { Float.random(in: -1...1, using: &$0) }
            let x = (0..<m * k).map { _ in Float.random(in: -1...1, using: &generator) }
            let bias = i % 2 == 0 ? (0..<n).map { _ in Float.random(in: -1...1, using: &generator) } : nil, relu = i % 3 == 0
            for set in InstructionSet.available {
                let y = w.floats(set, x, rows: m, bias: bias, relu: relu)
                for row in 0..<m {
                    for output in 0..<n {
                        var sum = Double(bias?[output] ?? 0), magnitude = abs(sum)
                        for input in 0..<k {
                            let product = Double(x[row * k + input]) * Double(w.dense[output * k + input])
                            sum += product
                            magnitude += abs(product)
                        }
                        let error = abs(Double(y[row * n + output]) - (relu ? max(sum, 0) : sum))
                        #expect(error <= Double(k + 1) * 0x1p-24 * magnitude, "\(set.testDescription) \(m)x\(k)x\(n)")
                    }
                }
                // Contract 4: neither ranges nor the rows beside it change a row.
                #expect(w.floats(set, x, rows: m, bias: bias, relu: relu, split: true).map(\.bitPattern) == y.map(\.bitPattern))
                let last = w.floats(set, Array(x.suffix(k)), rows: 1, bias: bias, relu: relu)
                #expect(last.map(\.bitPattern) == y.suffix(n).map(\.bitPattern), "\(set.testDescription) last row alone")
            }
        }
    }

    /// With a largest weight of 127 scales are 1, and scales of activations are 1: outputs are the integers, exact in float32 below 2²⁴.
    @Test(arguments: [4, 8]) func int8SumsAreExact(group: Int) {
        var generator = SplitMix64(stream: UInt64(2400 + group))
        let kinds: [(inout SplitMix64) -> Float] = [{ _ in 127 }, { _ in -127 }, { Float(Int.random(in: -127...127, using: &$0)) }]
        for (i, (m, k, n)) in Self.sizes.enumerated() {
            for kind in kinds {
                let w = NMWeights(inputs: k, outputs: n, group: group, generator: &generator, weight: kind)
                let x = (0..<m * k).map { _ in i % 2 == 0 ? (Bool.random(using: &generator) ? 255 : 0) : UInt8.random(in: 0...255, using: &generator)
                }
                let zeroPoints = (0..<m).map { _ in Int32.random(in: 0...255, using: &generator) }
                for set in InstructionSet.available {
                    let y = w.integers(set, x, rows: m, zeroPoints: zeroPoints), scales = w.packed(for: set).outputScales
                    // Whatever the scale of an output, its codes are those that rounding gives.
                    let codes = (0..<n).flatMap { row -> [Int] in
                        let inverse = 1 / scales[row]
                        return (0..<k).map { Int((w.dense[row * k + $0] * inverse).rounded(.toNearestOrEven)) }
                    }
                    for row in 0..<m {
                        for output in 0..<n {
                            let sum = (0..<k).reduce(0) { $0 + (Int(x[row * k + $1]) - Int(zeroPoints[row])) * codes[output * k + $1] }
                            #expect(y[row * n + output] == Float(sum) * scales[output], "\(set.testDescription) \(m)x\(k)x\(n)")
                        }
                    }
                    #expect(w.integers(set, x, rows: m, zeroPoints: zeroPoints, split: true) == y)
                }
            }
        }
    }

    /// The largest sum that contract 3 allows: K = 65,536, all weights 127 and activations 255.
    @Test func theLargestSumDoesNotWrap() {
        var generator = SplitMix64(stream: 2500)
        let k = 65_536
        let w = NMWeights(inputs: k, outputs: 1, group: 4, generator: &generator) { _ in 127 }
        let kept = w.keep.reduce(0) { $0 + Int($1) }
        for set in InstructionSet.available {
            let y = w.integers(set, [UInt8](repeating: 255, count: 2 * k), rows: 2, zeroPoints: [0, 255])
            #expect(y == [Float(kept * 127 * 255), 0], "\(set.testDescription)")
        }
    }

    @Test(arguments: [4, 8]) func theLargestOfEachGroupStay(group: Int) {
        var generator = SplitMix64(stream: UInt64(2600 + group))
        for (n, k) in [(1, 1), (3, group), (5, 3 * group + 1), (4, 5 * group - 1)] {
            let dense = (0..<n * k).map { _ in Float(Int.random(in: -3...3, using: &generator)) }
            var keep = [UInt8](repeating: 7, count: n * k)
            ck_nm_keep_largest(dense, k, n, group / 2, group, &keep)
            for row in 0..<n {
                for first in stride(from: 0, to: k, by: group) {
                    let places = Array(first..<min(first + group, k))
                    let best = places.sorted { (abs(dense[row * k + $0]), -$0) > (abs(dense[row * k + $1]), -$1) }.prefix(group / 2)
                    for place in places { #expect(keep[row * k + place] == (best.contains(place) ? 1 : 0)) }
                }
            }
            #expect(ck_nm_first_crowded(keep, k, n, group / 2, group) == n * ((k + group - 1) / group))
        }
    }

    /// Contract 4: what is not stored contributes nothing, whatever X is there.
    @Test(arguments: [4, 8]) func prunedPlacesCountAsNothing(group: Int) {
        var generator = SplitMix64(stream: UInt64(2700 + group))
        let k = 3 * group, dense = (0..<9 * k).map { _ in Float.random(in: 1...2, using: &generator) }
        var keep = [UInt8](repeating: 0, count: 9 * k)
        for at in keep.indices { keep[at] = at % k % group < group / 2 ? 1 : 0 }
        let rows = 20  // and one alone, which other kernels take
        let x = (0..<rows * k).map { $0 % k % group < group / 2 ? Float(1) : ($0 % 2 == 0 ? .nan : .infinity) }, source = GuardedBuffer(x)
        for set in InstructionSet.available {
            let y = GuardedBuffer<Float>(count: 9 * rows)
            var input = ck_sparse_input(data: source.base, rows: rows, stride: k, layout: ck_row_major, fixed_scale: 0, fixed_zero_point: 0)
            var output = ck_sparse_output(data: y.base, stride: 9, layout: ck_row_major, bias: nil, relu: 0)
            let config = set.kernels.spmm_f32_f32_nm.pointee, scratch = GuardedBuffer<UInt8>(count: config.workspace_bytes(k, 9))
            let packed = PackedSlots(set, dense, keep, inputs: k, outputs: 9, group: group, guardPage: .behind)
            var weights = packed.float32
            withExtendedLifetime(packed) {
                for range in [0..<1, 1..<rows] {
                    config.kernel(
                        &weights, &input, &output, range.lowerBound, range.upperBound, 0, (9 + config.n_step - 1) / config.n_step, scratch.base)
                }
            }
            #expect(y.values.allSatisfy { $0.isFinite }, "\(set.testDescription)")
        }
    }
}
