import CKernels
import CKernelsTestSupport
import Testing

/// Integer products equal plain loops, for every size, at the extremes of all operands, on every instruction set.
@Suite struct GemmTests {
    struct Format: Sendable, CustomTestStringConvertible {
        let bits: Int32
        let isU7: Bool
        var testDescription: String { "w\(bits)a\(isU7 ? 7 : 8)" }

        static let all = [
            Format(bits: 8, isU7: false), Format(bits: 8, isU7: true), Format(bits: 4, isU7: false), Format(bits: 2, isU7: false),
            Format(bits: 1, isU7: false),
        ]
    }

    static let everyExtreme = [
        ck_test_random, ck_test_lowest, ck_test_highest, ck_test_mixed, ck_test_aligned, ck_test_lowest_times_zero, ck_test_edge_pairs,
    ]

    private func check(
        _ format: Format, rows: Int, inputs: Int, outputs: Int, group: Int = 0, _ extremes: ck_test_extremes = ck_test_random,
        rowStep: Int? = nil, sets: [InstructionSet] = InstructionSet.available
    ) {
        var gemm = ck_test_gemm_case(
            bits: format.bits, is_u7: format.isU7 ? 1 : 0, rows: rows, inputs: inputs, outputs: outputs, group: group,
            relu: Int32((rows + inputs) % 2), seed: testSeed &+ UInt64(inputs * 1_000_003 + outputs))
        for set in sets {
            let failed = ck_test_gemm(set.isa, &gemm, extremes, rowStep == nil ? rows : 1, rowStep ?? 1)
            #expect(
                failed == 0,
                "\(set.testDescription) \(format.testDescription): \(failed) of \(rows) rows, K \(inputs), N \(outputs), group \(group), \(extremes), seed \(testSeed)"
            )
        }
    }

    /// All M, N, K in 1…67 on the sets with kernels of their own; debug builds take each third N with each K.
    @Test(arguments: Format.all) func everySmallSize(format: Format) {
        let own = InstructionSet.withOwnKernels(of: "gemm_\(format.isU7 ? "u7" : "u8")_s\(format.bits)")
        #expect(!own.isEmpty)
        for inputs in 1...67 {
            #if DEBUG
                let outputs = stride(from: 1 + inputs % 3, through: 67, by: 3)
            #else
                let outputs = stride(from: 1, through: 67, by: 1)
            #endif
            for n in outputs { check(format, rows: 67, inputs: inputs, outputs: n, rowStep: 1, sets: own) }
        }
    }

    /// The reference kernel, and sets that fall back to another, on a sample of the same sizes.
    @Test(arguments: Format.all) func sampledSmallSizes(format: Format) {
        for inputs in stride(from: 1, through: 67, by: 3) {
            for n in [1, 15, 16, 17, 67] { check(format, rows: 13, inputs: inputs, outputs: n, rowStep: 3) }
        }
    }

    /// Extreme operands on both sides of each boundary: folds of 32, 128 and 256 inputs, short products up to 96, blocks of 1,024.
    @Test(arguments: Format.all) func extremesAroundEveryFold(format: Format) {
        for boundary in [32, 96, 128, 256, 1024, 2048] {
            for inputs in boundary - 1...boundary + 1 {
                for extremes in Self.everyExtreme {
                    for rows in [1, 2, 3, 4, 5, 9] { check(format, rows: rows, inputs: inputs, outputs: 17, extremes) }
                }
            }
        }
    }

    /// Pairs of weights that add up to 128 stay in int16 with activations of 255, those of 129 leave it by 128: listed are exactly the latter, and
    /// sums are exact wherever one meets the other.
    @Test func pairsAtTheBoundOfInt16() {
        let pairs: [(Int8, Int8, isUnsafe: Bool)] = [
            (64, 64, false), (64, 65, true), (127, 1, false), (127, 2, true), (1, 127, false), (2, 127, true), (-64, -64, false), (-64, -65, true),
            (-127, -1, false), (-127, -2, true), (-2, -127, true), (127, -127, false), (127, 127, true),
        ]
        for (first, second, isUnsafe) in pairs {
            for place in 0..<33 {  // beside zeros; the last weight of 67 has no partner
                var codes = [Int8](repeating: 0, count: 67)
                (codes[2 * place], codes[2 * place + 1]) = (first, second)
                let starts = GuardedBuffer<UInt32>(count: ck_gemm_unsafe_start_count(67, 1)), units = GuardedBuffer<UInt8>(count: 1)
                #expect(ck_gemm_list_unsafe(67, 1, codes, starts.base, units.base) == (isUnsafe ? 1 : 0), "\(first) and \(second) at \(place)")
                if isUnsafe { #expect(Int(units.values[0]) == place / 2) }
                #expect(starts.guardsAreIntact && units.guardsAreIntact)
            }
        }
        for format in Format.all where format.bits == 8 {
            for inputs in [1, 2, 4, 31, 64, 96, 97, 128, 333, 1024, 1026, 2050] {
                for rows in [1, 2, 4, 5, 8, 9, 13] { check(format, rows: rows, inputs: inputs, outputs: 35, ck_test_edge_pairs) }
            }
        }
    }

    @Test(arguments: Format.all) func extremesAtTheMostInputs(format: Format) {
        for extremes in Self.everyExtreme {
            for rows in [1, 3, 9] { check(format, rows: rows, inputs: Int(ck_gemm_max_inputs), outputs: 2, extremes) }
        }
    }

    /// Groups of several sizes, below, at and beyond the ends of segments (256 inputs for 8 bits, 4,096 for the others).
    @Test(arguments: Format.all) func groups(format: Format) {
        for (group, counts) in [
            (32, [1, 2, 7, 8, 9, 33, 127, 128, 129]), (64, [1, 3, 5]), (96, [1, 2, 3, 43]), (128, [1, 2, 9, 32, 33]), (160, [1, 27]),
        ] {
            for count in counts {
                for extremes in Self.everyExtreme {
                    for rows in [1, 4, 6, 11] { check(format, rows: rows, inputs: group * count, outputs: 18, group: group, extremes) }
                }
            }
        }
    }

    /// The last group is shorter: by one input, by part of a step of 32, by some steps, and all but one input of it missing.
    @Test(arguments: Format.all) func groupsThatDoNotDivideTheInputs(format: Format) {
        for (group, counts) in [
            (32, [1, 31, 33, 95, 100, 255, 257, 784, 1100, 4095, 4097]), (96, [95, 97, 100, 300, 4127]),
            (128, [1, 100, 129, 161, 225, 784, 1100, 4225]),
            (160, [33, 470, 4161]), (512, [100, 513, 641, 784, 1100]),
        ] {
            for inputs in counts {
                for extremes in Self.everyExtreme {
                    for rows in [1, 2, 4, 6, 11] { check(format, rows: rows, inputs: inputs, outputs: 18, group: group, extremes) }
                }
            }
        }
    }

    /// block[t][r][i] = codes[r, 4·t + i], zeros for missing rows; codes beyond the padded inputs of a row are not read.
    @Test(arguments: InstructionSet.available) func interleaving(set: InstructionSet) {
        for (rows, padded, stride) in [(1, 32, 32), (8, 32, 33), (5, 64, 64), (7, 96, 131), (8, 160, 160)] {
            let codes = GuardedBuffer((0..<rows * stride).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 1) })
            let block = GuardedBuffer<UInt8>(count: 8 * padded)
            set.kernels.interleave_u8(codes.base, rows, stride, padded, block.base)
            let expected = (0..<8 * padded).map { place in
                let (t, r, i) = (place / 32, place / 4 % 8, place % 4)
                return r < rows ? codes.values[r * stride + 4 * t + i] : 0
            }
            #expect(block.values == expected && block.guardsAreIntact, "\(rows) rows of \(padded) codes, stride \(stride)")
        }
    }

    @Test(arguments: Format.all) func largeOddSizes(format: Format) {
        for (rows, inputs, outputs) in [
            (1, 1001, 333), (2, 4097, 65), (7, 2049, 129), (33, 1023, 100), (300, 333, 49), (521, 97, 17), (1, 11008, 31), (3, 65, 2100),
        ] {
            check(format, rows: rows, inputs: inputs, outputs: outputs)
            check(format, rows: rows, inputs: inputs, outputs: outputs, ck_test_mixed)
        }
    }
}

extension InstructionSet {
    /// The sets, other than the reference, that have a kernel of this operation; the reference where there is no other.
    fileprivate static func withOwnKernels(of operation: String) -> [InstructionSet] {
        var rows: UnsafePointer<ck_kernel_row>?
        let count = ck_kernel_rows(&rows)
        let sets = UnsafeBufferPointer(start: rows, count: count).filter { String(cString: $0.operation) == operation }.map(\.isa)
        let fast = available.filter { $0.isa != ck_isa_portable && sets.contains($0.isa) }
        return fast.isEmpty ? available.filter { $0.isa == ck_isa_portable } : fast
    }
}

/// Products of signs equal plain loops over ±1, and signs and scales of the activations their definition.
@Suite struct BitGemmTests {
    private func check(rows: Int, inputs: Int, outputs: Int, kinds: ClosedRange<Int32> = 0...2) {
        for set in InstructionSet.available {
            for kind in kinds {
                let failed = ck_test_bit_gemm(set.isa, rows, inputs, outputs, kind, testSeed &+ UInt64(inputs * 1_000_003 + outputs))
                #expect(failed == 0, "\(set.testDescription): \(failed) of \(rows) rows, K \(inputs), N \(outputs), kind \(kind), seed \(testSeed)")
            }
        }
    }

    /// Rows on both sides of tiles of 4 and blocks of 8, every number of outputs up to two panels and one.
    @Test func everySmallSize() {
        for inputs in [1, 2, 7, 8, 9, 17, 31, 32, 33, 63, 64, 65, 97, 333] {
            for outputs in 1...33 {
                for rows in 1...9 { check(rows: rows, inputs: inputs, outputs: outputs, kinds: 0...0) }
            }
        }
    }

    /// Both extremes, −K and K, around the folds of 256 inputs that are added as bytes, blocks of 1,024, and at the most inputs.
    @Test func extremesAroundEveryFold() {
        for inputs in [255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, Int(ck_gemm_max_inputs)] {
            for rows in [1, 2, 3, 4, 5] { check(rows: rows, inputs: inputs, outputs: 17) }
        }
    }

    /// More panels than share their tables.
    @Test func manyOutputs() {
        for (rows, inputs, outputs) in [(1, 1100, 2065), (6, 40, 4100)] { check(rows: rows, inputs: inputs, outputs: outputs) }
    }

    /// Both instruction sets give the same bits of scales; NaN is no sign of 1.
    @Test func signsOfHardNumbers() {
        for columns in [1, 7, 8, 9, 33] {
            var x = (0..<columns).map { Float($0 % 3) - 1 + Float($0) * 1e-3 }
            x[columns / 2] = .nan
            x[0] = columns == 1 ? .nan : -0.0
            x[columns - 1] = columns == 1 ? .nan : .infinity
            for set in InstructionSet.available {
                let bits = GuardedBuffer<UInt8>(count: (columns + 31) / 32 * 4), scales = GuardedBuffer<Float>(count: 1)
                set.kernels.binarize_rows_u1_f32(x, 1, columns, columns, bits.base, scales.base)
                for k in 0..<(columns + 31) / 32 * 32 { #expect((bits.values[k / 8] >> (k % 8) & 1 == 1) == (k < columns && x[k] >= 0)) }
                #expect(scales.values[0].isNaN && bits.guardsAreIntact && scales.guardsAreIntact)
            }
        }
        var generator = SplitMix64(stream: 43)
        for columns in 1...67 {
            let x = (0..<3 * columns).map { _ in Float.random(in: -2...2, using: &generator) }
            let results = InstructionSet.available.map { set in
                let bits = GuardedBuffer<UInt8>(count: 3 * ((columns + 31) / 32) * 4), scales = GuardedBuffer<Float>(count: 3)
                set.kernels.binarize_rows_u1_f32(x, 3, columns, columns, bits.base, scales.base)
                return (bits.values, scales.values.map(\.bitPattern))
            }
            for result in results { #expect(result == results[0], "\(columns) columns, seed \(testSeed)") }
        }
    }
}

/// Products with 16-bit float weights against float64.
@Suite struct HalfGemmTests {
    @Test func everyPathStaysWithinTheBoundOfFloatSums() {
        for rows in Array(1...18) + [29, 250] {
            for (inputs, outputs) in [(1, 1), (3, 17), (16, 32), (31, 48), (255, 16), (257, 33), (530, 5)] {
                for set in InstructionSet.available {
                    for isBF16 in [Int32(0), 1] {
                        let failed = ck_test_half_gemm(
                            set.isa, isBF16, rows, inputs, outputs, Int32(rows % 2), testSeed &+ UInt64(rows * 1_000_003 + inputs))
                        #expect(failed == 0, "\(set.testDescription) bf16 \(isBF16): \(failed) of \(rows)×\(inputs)×\(outputs), seed \(testSeed)")
                    }
                }
            }
        }
    }
}
