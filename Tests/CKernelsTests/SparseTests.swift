import CKernels
import Foundation
import Testing

private struct Shape: Sendable, CustomTestStringConvertible {
    let rows: Int, columns: Int
    var testDescription: String { "\(rows)x\(columns)" }
    static let all = [(1, 1), (4, 1), (8, 1), (1, 4), (4, 4), (16, 16)].map { Shape(rows: $0.0, columns: $0.1) }
}

/// A matrix packed as one instruction set wants it.
private struct PackedWeights {
    let float32: ck_sparse_f32, int8: ck_sparse_s8
    let owners: [AnyObject]
}

/// W[N, K] in canonical block-CSR and dense, packed for both kinds of kernels. Scales of the int8 weights are 1 unless given.
private final class SparseWeights {
    let shape: Shape, inputs: Int, outputs: Int
    let dense: [Float], denseCodes: [Int32]
    private let offsets: [UInt32], columns: [UInt32], values: [Float], codes: [Int8]
    private let slice: Int, scale: Float
    private var packed: [UInt32: PackedWeights] = [:]

    /// `code` gives the int8 weight at each stored place; blocks are stored with probability `density`.
    init(
        _ shape: Shape, inputs: Int, outputs: Int, density: Double, slice: Int? = nil, scale: Float = 1,
        generator: inout SplitMix64, code: (inout SplitMix64) -> Int8 = { Int8.random(in: -127...127, using: &$0) }
    ) {
        self.shape = shape
        self.inputs = inputs
        self.outputs = outputs
        let strips = (outputs + shape.rows - 1) / shape.rows, across = (inputs + shape.columns - 1) / shape.columns
        var offsets: [UInt32] = [0], columns: [UInt32] = [], values: [Float] = [], codes: [Int8] = []
        var dense = [Float](repeating: 0, count: outputs * inputs), denseCodes = [Int32](repeating: 0, count: outputs * inputs)
        for strip in 0..<strips {
            for column in 0..<across where Double.random(in: 0..<1, using: &generator) < density {
                columns.append(UInt32(column))
                for r in 0..<shape.rows {
                    for c in 0..<shape.columns {
                        let n = strip * shape.rows + r, k = column * shape.columns + c, isInside = n < outputs && k < inputs
                        values.append(isInside ? Float.random(in: -1...1, using: &generator) : 0)
                        codes.append(isInside ? code(&generator) : 0)
                        guard isInside else { continue }
                        dense[n * inputs + k] = values.last!
                        denseCodes[n * inputs + k] = Int32(codes.last!)
                    }
                }
            }
            offsets.append(UInt32(columns.count))
        }
        self.dense = dense
        self.denseCodes = denseCodes
        self.slice = slice ?? across * shape.columns
        self.scale = scale
        (self.offsets, self.columns, self.values, self.codes) = (offsets, columns + [0], values + [0], codes + [0])  // no array is empty
    }

    /// Packed arrays lie before or behind a page that nobody may touch, in turn.
    private var guardPage: GuardPage { (inputs + outputs) % 2 == 0 ? .before : .behind }

    func packed(for set: InstructionSet) -> PackedWeights {
        if let packed = packed[set.rawValue] { return packed }
        let scratch = GuardedBuffer<UInt32>(count: ck_sparse_pack_scratch(inputs, outputs, shape.rows)), table = set.kernels
        var owners: [AnyObject] = [scratch]
        let result = offsets.withUnsafeBufferPointer { offsets in
            columns.withUnsafeBufferPointer { columns in
                var blocks = ck_sparse_blocks(
                    inputs: inputs, outputs: outputs, block_rows: shape.rows, block_columns: shape.columns, slice_inputs: slice,
                    offsets: offsets.baseAddress!, columns: columns.baseAddress!)
                let float32 = packFloat32(table.spmm_f32_f32_block.pointee, &blocks, scratch, &owners)
                blocks.slice_inputs = (inputs + shape.columns - 1) / shape.columns * shape.columns
                let int8 = packInt8(table.spmm_f32_u8_s8block.pointee, &blocks, scratch, &owners)
                return PackedWeights(float32: float32, int8: int8, owners: owners)
            }
        }
        #expect(scratch.guardsAreIntact)
        packed[set.rawValue] = result
        return result
    }

    private func arrays(_ sizes: ck_sparse_sizes, slice: Int, _ owners: inout [AnyObject]) -> (ck_sparse_arrays, ck_sparse_structure) {
        let starts = GuardedBuffer<UInt32>(count: sizes.slices + 1, guardPage: guardPage)
        let runs = GuardedBuffer<ck_sparse_run>(count: sizes.runs, guardPage: guardPage)
        let strips = GuardedBuffer<UInt32>(count: sizes.strips, guardPage: guardPage)
        let columns = GuardedBuffer<UInt16>(count: sizes.columns, guardPage: guardPage)
        owners += [starts, runs, strips, columns] as [AnyObject]
        let structure = ck_sparse_structure(
            inputs: inputs, outputs: outputs, block_rows: shape.rows, block_columns: shape.columns, slices: sizes.slices, slice_inputs: slice,
            run_starts: starts.base, runs: runs.base, strips: strips.base, columns: columns.base)
        return (ck_sparse_arrays(run_starts: starts.base, runs: runs.base, strips: strips.base, columns: columns.base), structure)
    }

    private func packFloat32(
        _ config: ck_sparse_f32_config, _ blocks: inout ck_sparse_blocks, _ scratch: GuardedBuffer<UInt32>, _ owners: inout [AnyObject]
    ) -> ck_sparse_f32 {
        let sizes = config.sizes(&blocks, scratch.base), values = GuardedBuffer<Float>(count: sizes.values, guardPage: guardPage)
        var (parts, structure) = arrays(sizes, slice: blocks.slice_inputs, &owners)
        config.pack(&blocks, self.values, scratch.base, &parts, values.base)
        owners.append(values)
        return ck_sparse_f32(structure: structure, values: values.base)
    }

    private func packInt8(
        _ config: ck_sparse_s8_config, _ blocks: inout ck_sparse_blocks, _ scratch: GuardedBuffer<UInt32>, _ owners: inout [AnyObject]
    ) -> ck_sparse_s8 {
        let sizes = config.sizes(&blocks, codes, scratch.base), values = GuardedBuffer<Int8>(count: sizes.values, guardPage: guardPage)
        let sums = GuardedBuffer<Int32>(count: outputs, guardPage: guardPage)
        let scales = GuardedBuffer([Float](repeating: scale, count: outputs), guardPage: guardPage)
        var (parts, structure) = arrays(sizes, slice: blocks.slice_inputs, &owners)
        config.pack(&blocks, codes, scratch.base, &parts, values.base, sums.base)
        owners += [values, sums, scales] as [AnyObject]
        return ck_sparse_s8(structure: structure, values: values.base, scales: scales.base, sums: sums.base)
    }

    /// Y[M, N], row by row, whatever the layouts. Rows are computed in the given ranges; stored rows are `gap` elements longer than need be.
    func product(
        _ set: InstructionSet, _ x: [Float], rows: Int, isInt8: Bool = false, xLayout: ck_layout = ck_row_major,
        yLayout: ck_layout = ck_row_major, bias: [Float]? = nil, relu: Bool = false, gap: Int = 1, split: Bool = false
    ) -> [Float] {
        let (stored, xStride) = Self.lay(x, rows, inputs, xLayout, gap)
        let y = GuardedBuffer<Float>(count: rows * (outputs + gap) + outputs * (rows + gap)),
            yStride = (yLayout == ck_row_major ? outputs : rows) + gap
        let source = GuardedBuffer(stored, guardPage: guardPage), biases = GuardedBuffer(bias ?? [])
        let packed = packed(for: set), floatConfig = set.kernels.spmm_f32_f32_block.pointee, codeConfig = set.kernels.spmm_f32_u8_s8block.pointee
        var (float32, int8) = (packed.float32, packed.int8)
        let bytes = isInt8 ? codeConfig.workspace_bytes(&int8.structure) : floatConfig.workspace_bytes(&float32.structure)
        let workspace = GuardedBuffer<UInt8>(count: bytes)
        let before = y.values.map(\.bitPattern)
        var input = ck_sparse_input(data: source.base, rows: rows, stride: xStride, layout: xLayout, fixed_scale: 0, fixed_zero_point: 0)
        var output = ck_sparse_output(
            data: y.base, stride: yStride, layout: yLayout, bias: bias == nil ? nil : UnsafePointer(biases.base), relu: relu ? 1 : 0)
        let step = split ? (isInt8 ? codeConfig.tile(shape.rows) : floatConfig.tile(shape.rows)) : rows
        for first in stride(from: 0, to: rows, by: step) {
            let end = min(first + step, rows)
            if isInt8 {
                codeConfig.kernel(&int8, 1, &input, &output, first, end, workspace.base)
            } else {
                floatConfig.kernel(&float32, 1, &input, &output, first, end, workspace.base)
            }
        }
        #expect(workspace.guardsAreIntact && y.guardsAreIntact)
        let after = y.values
        var result = [Float](repeating: 0, count: rows * outputs), isTouched = [Bool](repeating: false, count: after.count)
        for m in 0..<rows {
            for n in 0..<outputs {
                let place = yLayout == ck_row_major ? m * yStride + n : n * yStride + m
                result[m * outputs + n] = after[place]
                isTouched[place] = true
            }
        }
        #expect(after.indices.allSatisfy { isTouched[$0] || after[$0].bitPattern == before[$0] }, "wrote outside Y")
        return result
    }

    /// Rows of X as the layout stores them; what lies between rows is NaN, so that reading it shows.
    private static func lay(_ x: [Float], _ rows: Int, _ columns: Int, _ layout: ck_layout, _ gap: Int) -> ([Float], Int) {
        let (count, length) = layout == ck_row_major ? (rows, columns) : (columns, rows), stride = length + gap
        var stored = [Float](repeating: .nan, count: (count - 1) * stride + length)
        for m in 0..<rows {
            for k in 0..<columns { stored[layout == ck_row_major ? m * stride + k : k * stride + m] = x[m * columns + k] }
        }
        return (stored, stride)
    }

    func vectorProduct(_ set: InstructionSet, _ x: [Float], bias: [Float], relu: Bool) -> [Float] {
        let y = GuardedBuffer<Float>(count: outputs), source = GuardedBuffer(x, guardPage: guardPage),
            biases = GuardedBuffer(bias, guardPage: guardPage)
        var output = ck_sparse_output(data: y.base, stride: outputs, layout: ck_row_major, bias: UnsafePointer(biases.base), relu: relu ? 1 : 0)
        var float32 = packed(for: set).float32
        set.kernels.spmm_f32_f32_block.pointee.vector_kernel(&float32, source.base, &output)
        #expect(y.guardsAreIntact)
        return y.values
    }

    /// The product of one row of int8 weights, and the exact result by the rules of quantize.h and sparse.h.
    func quantizedVectorProduct(_ set: InstructionSet, _ x: [Float], bias: [Float], relu: Bool) -> (y: [Float], expected: [Float]) {
        let padded = (inputs + 63) / 64 * 64, codes = GuardedBuffer<UInt8>(count: padded, guardPage: guardPage)
        var scale = Float(0), zero = Int32(0)
        set.kernels.quantize_rows_u8_f32(x, 1, inputs, inputs, 255, codes.base, padded, &scale, &zero)
        let y = GuardedBuffer<Float>(count: outputs), biases = GuardedBuffer(bias),
            config = set.kernels.spmm_f32_u8_s8block.pointee,
            workspace = GuardedBuffer<UInt8>(count: config.vector_workspace_bytes(inputs))
        var output = ck_sparse_output(data: y.base, stride: outputs, layout: ck_row_major, bias: UnsafePointer(biases.base), relu: relu ? 1 : 0)
        var int8 = packed(for: set).int8
        config.vector_kernel(&int8, codes.base, scale, zero, &output, workspace.base)
        #expect(y.guardsAreIntact && workspace.guardsAreIntact && codes.guardsAreIntact)
        let expected = (0..<outputs).map { n in
            let sum = (0..<inputs).reduce(0) { $0 + (Int(codes.elements[$1]) - Int(zero)) * Int(denseCodes[n * inputs + $1]) }
            let value = Float(sum) * (scale * int8.scales[n]) + bias[n]
            return relu ? max(value, 0) : value
        }
        return (y.values, expected)
    }

    /// Whether y[M, N] is within (terms + 1) · 2⁻²⁴ · Σ|x·w| of the sum in float64, bias and ReLU included.
    func isWithinBound(_ y: [Float], _ x: [Float], rows: Int, bias: [Float]?, relu: Bool) -> Bool {
        for m in 0..<rows {
            for n in 0..<outputs {
                var sum = Double(bias?[n] ?? 0), magnitude = abs(sum), terms = 1.0
                for k in 0..<inputs where dense[n * inputs + k] != 0 {
                    let product = Double(x[m * inputs + k]) * Double(dense[n * inputs + k])
                    sum += product
                    magnitude += abs(product)
                    terms += 1
                }
                let error = abs(Double(y[m * outputs + n]) - (relu ? max(sum, 0) : sum))
                guard error <= terms * 0x1p-24 * magnitude else { return false }
            }
        }
        return true
    }
}

private func numbers(_ count: Int, _ generator: inout SplitMix64) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &generator) } }
/// Whether two results have the same bits. A function of its own, as a failed comparison of arrays would print all of both.
private func same(_ one: [Float], _ other: [Float]) -> Bool { one.map(\.bitPattern) == other.map(\.bitPattern) }
private let layouts = [
    (ck_row_major, ck_row_major), (ck_row_major, ck_feature_major), (ck_feature_major, ck_row_major), (ck_feature_major, ck_feature_major),
]

@Suite struct SparseTests {
    /// Every N and K in 1…20, with M and the layouts going round, then larger odd sizes with several slices.
    @Test(arguments: Shape.all)
    fileprivate func float32ProductsAreWithinTheBound(shape: Shape) {
        var generator = SplitMix64(stream: UInt64(300 + shape.rows * 20 + shape.columns))
        var sizes: [(Int, Int, Int)] = []
        for n in 1...20 { for k in 1...20 { sizes.append((1 + (n * 7 + k * 3) % 20, n, k)) } }
        sizes += [(33, 47, 129), (67, 31, 333), (25, 65, 257), (129, 17, 61)]
        for (i, (m, n, k)) in sizes.enumerated() {
            let slice = k > 20 ? shape.columns * max(1, 37 / shape.columns) : nil
            let w = SparseWeights(shape, inputs: k, outputs: n, density: [0.1, 0.5, 1][i % 3], slice: slice, generator: &generator)
            let x = numbers(m * k, &generator), bias = i % 2 == 0 ? numbers(n, &generator) : nil, (xLayout, yLayout) = layouts[i % 4]
            for set in InstructionSet.available {
                let y = w.product(set, x, rows: m, xLayout: xLayout, yLayout: yLayout, bias: bias, relu: i % 5 == 0, gap: i % 3)
                #expect(w.isWithinBound(y, x, rows: m, bias: bias, relu: i % 5 == 0), "\(set.testDescription) \(m)x\(k)x\(n)")
            }
        }
    }

    /// Contract 4: neither the ranges of the threads, nor the layouts, nor the rows beside it change the bits of a row.
    @Test(arguments: Shape.all)
    fileprivate func bitsDoNotDependOnTheSplit(shape: Shape) {
        var generator = SplitMix64(stream: UInt64(700 + shape.rows * 20 + shape.columns))
        for (m, n, k) in [(1, 5, 9), (7, 33, 65), (33, 50, 131), (71, 19, 48), (130, 37, 77)] {
            let w = SparseWeights(shape, inputs: k, outputs: n, density: 0.4, slice: shape.columns * 3, generator: &generator)
            let x = numbers(m * k, &generator), bias = numbers(n, &generator)
            for set in InstructionSet.available {
                for isInt8 in [false, true] {
                    let whole = w.product(set, x, rows: m, isInt8: isInt8, bias: bias)
                    for (xLayout, yLayout) in layouts {
                        for gap in [0, 3] {
                            let other = w.product(
                                set, x, rows: m, isInt8: isInt8, xLayout: xLayout, yLayout: yLayout, bias: bias, gap: gap, split: true)
                            #expect(same(other, whole), "\(set.testDescription) int8 \(isInt8) \(m)x\(k)x\(n)")
                        }
                    }
                    let last = w.product(set, Array(x.suffix(k)), rows: 1, isInt8: isInt8, bias: bias)
                    #expect(same(last, Array(whole.suffix(n))), "\(set.testDescription) int8 \(isInt8) last row alone")
                }
            }
        }
    }

    @Test(arguments: Shape.all)
    fileprivate func vectorProducts(shape: Shape) {
        var generator = SplitMix64(stream: UInt64(1100 + shape.rows * 20 + shape.columns))
        for i in 0..<120 {
            let n = Int.random(in: 1...70, using: &generator), k = Int.random(in: 1...150, using: &generator)
            let slice = i % 3 == 0 ? shape.columns * Int.random(in: 1...5, using: &generator) : nil
            let w = SparseWeights(shape, inputs: k, outputs: n, density: [0.05, 0.5, 1][i % 3], slice: slice, generator: &generator)
            let x = numbers(k, &generator), bias = numbers(n, &generator)
            for set in InstructionSet.available {
                let y = w.vectorProduct(set, x, bias: bias, relu: i % 4 == 0)
                #expect(w.isWithinBound(y, x, rows: 1, bias: bias, relu: i % 4 == 0), "\(set.testDescription) \(k)x\(n)")
            }
        }
    }

    /// One row: the integers are those of the tiles, at every K and N and at the extremes of codes.
    @Test(arguments: Shape.all)
    fileprivate func int8VectorProducts(shape: Shape) {
        var generator = SplitMix64(stream: UInt64(1300 + shape.rows * 20 + shape.columns))
        let codes: [(inout SplitMix64) -> Int8] = [
            { Int8.random(in: -127...127, using: &$0) }, { _ in 127 }, { _ in -127 }, { Bool.random(using: &$0) ? 127 : -127 },
            { Int8.random(in: 52...127, using: &$0) * (Bool.random(using: &$0) ? 1 : -1) },
        ]
        for i in 0..<150 {
            let n = Int.random(in: 1...70, using: &generator), k = 1 + i
            let w = SparseWeights(
                shape, inputs: k, outputs: n, density: [0.05, 0.5, 1][i % 3], scale: 0.03, generator: &generator, code: codes[i % codes.count])
            var x = numbers(k, &generator)
            if i % 7 == 0 { x[k / 2] = .nan }
            let bias = numbers(n, &generator)
            for set in InstructionSet.available {
                let (y, expected) = w.quantizedVectorProduct(set, x, bias: bias, relu: i % 4 == 0)
                #expect(zip(y, expected).allSatisfy(==), "\(set.testDescription) \(k)x\(n), seed \(testSeed)")
                let tile = w.product(set, x, rows: 1, isInt8: true, bias: bias, relu: i % 4 == 0)
                #expect(zip(y, tile).allSatisfy(==), "\(set.testDescription) \(k)x\(n), seed \(testSeed)")
            }
        }
    }

    /// Large weights of both signs meet in pairs that are safe, so that no quad is doubled; those of one sign have to be.
    @Test func singlesArePairedWithTheOtherSign() {
        let k = 96, offsets: [UInt32] = [0, UInt32(k)], scratch = GuardedBuffer<UInt32>(count: ck_sparse_pack_scratch(k, 1, 1))
        let columns = (0..<UInt32(k)).map { $0 }, configs = InstructionSet.available.map { $0.kernels.spmm_f32_u8_s8block.pointee }
        guard let config = configs.first(where: { String(cString: $0.layout) == "safe-quads" }) else { return }  // nobody adds in int16 here
        func values(_ codes: [Int8]) -> Int {
            offsets.withUnsafeBufferPointer { offsets in
                columns.withUnsafeBufferPointer { columns in
                    var blocks = ck_sparse_blocks(
                        inputs: k, outputs: 1, block_rows: 1, block_columns: 1, slice_inputs: k, offsets: offsets.baseAddress!,
                        columns: columns.baseAddress!)
                    return config.sizes(&blocks, codes, scratch.base).values
                }
            }
        }
        #expect(values((0..<k).map { $0 < k / 2 ? 127 : -127 }) == k)
        #expect(values((0..<k).map { $0 < k / 3 ? -100 : 64 }) == k)
        #expect(values([Int8](repeating: 127, count: k)) == 2 * k)
        #expect(values((0..<k).map { $0 % 4 < 2 ? 100 : 28 }) == k)
        #expect(values((0..<k).map { $0 % 4 < 2 ? -100 : -28 }) == k)
        #expect(scratch.guardsAreIntact)
    }

    /// Pairs of weights that add up to 128 stay as they are, those of 129 are split: either way sums are exact with activations of 255.
    @Test(arguments: [Shape(rows: 1, columns: 1), Shape(rows: 4, columns: 1), Shape(rows: 1, columns: 4), Shape(rows: 4, columns: 4)])
    fileprivate func pairsAtTheBoundOfInt16(shape: Shape) {
        var generator = SplitMix64(stream: UInt64(1400 + shape.rows * 20 + shape.columns))
        let k = 24, n = 8
        for (pair, isSplit) in [((64, 64), false), ((64, 65), true), ((127, 1), false), ((127, 2), true), ((100, 28), false), ((100, 29), true)] {
            for sign in [1, -1] {
                var next = 0
                let w = SparseWeights(shape, inputs: k, outputs: n, density: 1, generator: &generator) { _ in
                    defer { next += 1 }
                    return Int8(sign * (next % 2 == 0 ? pair.0 : pair.1))
                }
                let exact = (0..<n).map { output in Float(255 * (0..<k).reduce(0) { $0 + Int(w.denseCodes[output * k + $1]) }) }
                for set in InstructionSet.available {
                    let x = [Float](repeating: 255, count: 9 * k)
                    let y = w.product(set, x, rows: 9, isInt8: true)
                    #expect(y == (0..<9).flatMap { _ in exact }, "\(set.testDescription) \(pair) × \(sign)")
                    let (row, _) = w.quantizedVectorProduct(set, Array(x.prefix(k)), bias: [Float](repeating: 0, count: n), relu: false)
                    #expect(row == exact, "\(set.testDescription) \(pair) × \(sign), one row")
                }
                if shape.columns == 4 {  // quads are neighbours: their number tells whether they were split
                    for set in InstructionSet.available {
                        let structure = w.packed(for: set).int8.structure
                        let runs = UnsafeBufferPointer(start: structure.runs, count: Int(structure.run_starts[1]))
                        let quads = runs.reduce(0) { $0 + Int($1.strips * $1.blocks) }
                        let isSafe = String(cString: set.kernels.spmm_f32_u8_s8block.pointee.layout) == "safe-quads"
                        #expect(quads == k / 4 * n / shape.rows * (isSplit && isSafe ? 2 : 1), "\(set.testDescription) \(pair) × \(sign)")
                    }
                }
            }
        }
    }

    /// Activations 0…255 with 255 in each row have scale 1 and zero point 0, so that codes are the activations themselves and the
    /// output is the exact sum rounded to float32 once.
    @Test(arguments: Shape.all)
    fileprivate func int8SumsAreExact(shape: Shape) {
        var generator = SplitMix64(stream: UInt64(1500 + shape.rows * 20 + shape.columns))
        let codes: [(inout SplitMix64) -> Int8] = [
            { _ in 127 }, { _ in -127 }, { Bool.random(using: &$0) ? 127 : -127 }, { Int8.random(in: -127...127, using: &$0) },
        ]
        for (i, (m, n, k)) in [(1, 1, 1), (3, 5, 4), (8, 9, 13), (9, 17, 16), (17, 16, 31), (25, 33, 64), (33, 20, 95), (65, 7, 130), (2, 3, 4099)]
            .enumerated()
        {
            for (j, code) in codes.enumerated() {
                let w = SparseWeights(shape, inputs: k, outputs: n, density: [1, 0.3][(i + j) % 2], generator: &generator, code: code)
                var x = (0..<m * k).map { _ in Bool.random(using: &generator) ? Float(255) : 0 }
                for row in 0..<m { x[row * k] = 255 }
                let exact = (0..<m * n).map { at in
                    Float((0..<k).reduce(0) { $0 + Int(x[at / n * k + $1]) * Int(w.denseCodes[at % n * k + $1]) })
                }
                for set in InstructionSet.available {
                    let (xLayout, yLayout) = layouts[(i + j) % 4]
                    let y = w.product(set, x, rows: m, isInt8: true, xLayout: xLayout, yLayout: yLayout)
                    #expect(zip(y, exact).allSatisfy(==), "\(set.testDescription) \(m)x\(k)x\(n)")
                }
            }
        }
    }

    /// Codes, scales and zero points are those of the quantize family, for numbers of either sign and for NaN.
    @Test(arguments: Shape.all)
    fileprivate func int8ActivationsAreQuantizedByTheRule(shape: Shape) {
        var generator = SplitMix64(stream: UInt64(1900 + shape.rows * 20 + shape.columns))
        for (m, n, k) in [(5, 9, 23), (20, 17, 40), (32, 18, 66), (40, 16, 101)] {
            let w = SparseWeights(shape, inputs: k, outputs: n, density: 0.5, scale: 0.03, generator: &generator), bias = numbers(n, &generator)
            var x = numbers(m * k, &generator)
            x[k / 2] = .nan
            for set in InstructionSet.available {
                let codes = GuardedBuffer<UInt8>(count: m * k), scales = GuardedBuffer<Float>(count: m), zeros = GuardedBuffer<Int32>(count: m)
                set.kernels.quantize_rows_u8_f32(x, m, k, k, 255, codes.base, k, scales.base, zeros.base)
                let expected = (0..<m * n).map { at in
                    let row = at / n,
                        sum = (0..<k).reduce(Int32(0)) {
                            $0 + (Int32(codes.elements[row * k + $1]) - zeros.elements[row]) * w.denseCodes[at % n * k + $1]
                        }
                    return max(Float(sum) * (scales.elements[row] * 0.03) + bias[at % n], 0)
                }
                let y = w.product(set, x, rows: m, isInt8: true, xLayout: ck_feature_major, bias: bias, relu: true)
                #expect(zip(y, expected).allSatisfy(==), "\(set.testDescription) \(m)x\(k)x\(n)")
            }
        }
    }

    /// The largest K: 255 · 127 · 65,536 < 2³¹.
    @Test func int8SumsDoNotWrap() {
        var generator = SplitMix64(stream: 2300)
        let k = ck_sparse_max_slice, x = [Float](repeating: 255, count: k)
        for shape in [Shape(rows: 1, columns: 1), Shape(rows: 4, columns: 4)] {
            for sign in [Int8(127), -127] {
                let w = SparseWeights(shape, inputs: k, outputs: 4, density: 1, generator: &generator) { _ in sign }
                for set in InstructionSet.available {
                    let exact = [Float](repeating: Float(255 * Int(sign) * k), count: 4)
                    #expect(w.product(set, x, rows: 1, isInt8: true) == exact, "\(set.testDescription)")
                    let (y, _) = w.quantizedVectorProduct(set, x, bias: [Float](repeating: 0, count: 4), relu: false)
                    #expect(y == exact, "\(set.testDescription), one row")
                }
            }
        }
    }

    /// Contract 4: what is not stored does not meet the activations, so an infinity or a NaN there stays away from the sums. Inputs
    /// 4…7 are not stored by any shape but 16×16, whose blocks are wider; there it is the second block, inputs 16…31.
    @Test(arguments: Shape.all)
    fileprivate func prunedPlacesIgnoreInfinityAndNaN(shape: Shape) {
        var generator = SplitMix64(stream: 2700)
        let k = 45, n = 19, step = shape.columns == 16 ? 16 : 4
        var w = SparseWeights(shape, inputs: k, outputs: n, density: 0.6, generator: &generator)
        while (0..<n).contains(where: { row in (step..<2 * step).contains { w.dense[row * k + $0] != 0 } }) || !w.dense.contains(where: { $0 != 0 }) {
            w = SparseWeights(shape, inputs: k, outputs: n, density: shape.rows == 1 ? 0.02 : 0.1, generator: &generator)
        }
        var x = numbers(40 * k, &generator)
        let finite = x
        for m in 0..<40 { for i in step..<2 * step { x[m * k + i] = [Float.infinity, -.infinity, .nan][(m + i) % 3] } }
        for set in InstructionSet.available {
            for (xLayout, yLayout) in layouts {
                let y = w.product(set, x, rows: 40, xLayout: xLayout, yLayout: yLayout)
                #expect(same(y, w.product(set, finite, rows: 40)), "\(set.testDescription)")
            }
            let bias = [Float](repeating: 0, count: n)
            let row = w.vectorProduct(set, Array(x.prefix(k)), bias: bias, relu: false)
            #expect(same(row, w.vectorProduct(set, Array(finite.prefix(k)), bias: bias, relu: false)), "\(set.testDescription)")
        }
    }

    /// Packed weights replace the dense ones: unpacking gives them back.
    @Test(arguments: Shape.all)
    fileprivate func unpackingIsTheInverse(shape: Shape) {
        var generator = SplitMix64(stream: 3100)
        for i in 0..<60 {
            let n = Int.random(in: 1...50, using: &generator), k = Int.random(in: 1...120, using: &generator)
            let slice = shape.columns * Int.random(in: 1...9, using: &generator)
            let w = SparseWeights(shape, inputs: k, outputs: n, density: [0, 0.2, 1][i % 3], slice: slice, scale: 0.5, generator: &generator)
            for set in InstructionSet.available {
                let dense = GuardedBuffer([Float](repeating: 0, count: n * k)), codes = GuardedBuffer([Float](repeating: 0, count: n * k))
                var (float32, int8) = (w.packed(for: set).float32, w.packed(for: set).int8)
                set.kernels.spmm_f32_f32_block.pointee.unpack(&float32, dense.base)
                set.kernels.spmm_f32_u8_s8block.pointee.unpack(&int8, codes.base)
                #expect(zip(dense.values, w.dense).allSatisfy(==) && zip(codes.values, w.denseCodes).allSatisfy { $0 == 0.5 * Float($1) })
                #expect(dense.guardsAreIntact && codes.guardsAreIntact)
            }
        }
    }
}
