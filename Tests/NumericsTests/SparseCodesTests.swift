import CompactNumerics
import Testing

/// Codes and scales of sparse int8 weights go in and come out as they are, and static scales of inputs give the codes that dense layers give.
@Suite struct SparseCodesTests {
    /// Random blocks with codes over the whole range, so that some pairs are unsafe, zeros among them.
    private func arrays(_ n: Int, _ k: Int, _ shape: BlockShape, _ generator: inout SeededGenerator) -> BlockArrays {
        let (r, c) = (shape.rows, shape.columns)
        var arrays = BlockArrays(blockOffsets: [0], blockColumns: [], scales: (0..<n).map { _ in Float.random(in: 1e-3...1, using: &generator) })
        for strip in 0..<(n + r - 1) / r {
            for column in 0..<(k + c - 1) / c where Int.random(in: 0..<4, using: &generator) == 0 {
                arrays.blockColumns.append(UInt32(column))
                for weight in 0..<r * c {
                    let isInside = strip * r + weight / c < n && column * c + weight % c < k, kind = Int.random(in: 0..<4, using: &generator)
                    let code: Int8 = kind == 0 ? 0 : kind == 1 ? 127 : Int8.random(in: -127...127, using: &generator)
                    arrays.codes.append(isInside ? code : 0)
                }
            }
            arrays.blockOffsets.append(UInt32(arrays.blockColumns.count))
        }
        return arrays
    }

    private func matrix(_ n: Int, _ k: Int, _ shape: BlockShape, _ arrays: BlockArrays) throws -> BlockSparseMatrix {
        try BlockSparseMatrix(
            rows: n, columns: k, shape: shape, blockOffsets: arrays.blockOffsets, blockColumns: arrays.blockColumns, codes: arrays.codes,
            scales: arrays.scales)
    }

    @Test(arguments: BlockShape.all) func codesComeBackExactly(shape: BlockShape) throws {
        var generator = SeededGenerator()
        for (n, k) in [(1, 1), (37, 50), (150, 33), (515, 70)] {
            let expected = arrays(n, k, shape, &generator), weight = try matrix(n, k, shape, expected)
            #expect(weight.blockArrays() == expected, "\(n)×\(k), seed \(generator.seed)")
            #expect(weight.blockCount == expected.blockColumns.count)
        }
    }

    @Test(arguments: BlockShape.all, [1, 16, 64, 256]) func floatsComeBackExactly(shape: BlockShape, expectedRows: Int) throws {
        var generator = SeededGenerator()
        for (n, k) in [(1, 1), (37, 50), (515, 300)] {
            var expected = arrays(n, k, shape, &generator)
            (expected.values, expected.codes, expected.scales) = (expected.codes.map { Float($0) / 3 }, [], [])
            let weight = try BlockSparseMatrix(
                rows: n, columns: k, shape: shape, blockOffsets: expected.blockOffsets, blockColumns: expected.blockColumns,
                blockValues: expected.values, expectedRows: expectedRows)
            #expect(weight.blockArrays() == expected, "\(n)×\(k), seed \(generator.seed)")
        }
    }

    @Test(arguments: NMSparsity.all) func slotsComeBackExactly(sparsity: NMSparsity) throws {
        var generator = SeededGenerator()
        for (n, k) in [(1, 1), (5, 8), (9, 17), (20, 40)] {
            let pruned = try NMSparseMatrix(generator.matrix(n, k), sparsity: sparsity)
            var expected = pruned.arrays()
            #expect(try NMSparseMatrix(rows: n, columns: k, sparsity: sparsity, arrays: expected).dense() == pruned.dense())
            expected.codes = expected.values.map { $0 == 0 ? 0 : Int8.random(in: -127...127, using: &generator) }
            expected.values = []
            expected.scales = generator.numbers(n)
            let weight = try NMSparseMatrix(rows: n, columns: k, sparsity: sparsity, arrays: expected)
            #expect(weight.arrays() == expected, "\(n)×\(k), seed \(generator.seed)")
        }
    }

    @Test func wrongCodesAreRefused() throws {
        func make(_ codes: [Int8], _ scales: [Float], columns: Int = 8) throws {
            _ = try BlockSparseMatrix(
                rows: 1, columns: columns, shape: BlockShape(rows: 1, columns: 4), blockOffsets: [0, 1], blockColumns: [1], codes: codes,
                scales: scales)
        }
        try make([1, 2, 3, 4], [1])
        for (codes, scales) in [([1, 2, 3, -128], [1]), ([1, 2, 3], [1]), ([1, 2, 3, 4], [1, 2]), ([1, 2, 3, 4], [.nan])] as [([Int8], [Float])] {
            #expect(throws: NumericsError.self) { try make(codes, scales) }
        }
        // A weight behind the last input would count in the correction for zero points.
        #expect(throws: NumericsError.self) { try make([1, 2, 3, 4], [1], columns: 7) }
        try make([1, 2, 3, 0], [1], columns: 7)
        for positions in [[1, 0, 2, 3], [0, 0, 2, 3], [0, 4, 2, 3]] as [[UInt8]] {
            #expect(throws: NumericsError.self) {
                try NMSparseMatrix(rows: 1, columns: 8, sparsity: .twoOfFour, arrays: NMArrays(positions: positions, values: [1, 2, 3, 4]))
            }
        }
    }

    /// X with halves between codes, NaN, infinities and numbers beyond every code.
    private func hostileInput(_ m: Int, _ k: Int, scale: Float, _ generator: inout SeededGenerator) -> Matrix {
        let special: [Float] = [.nan, .infinity, -.infinity, 1e30, -1e30, 0.5 * scale, 1.5 * scale, -2.5 * scale, 300 * scale, -300 * scale]
        return Matrix(rows: m, columns: k) { _, _ in
            Int.random(in: 0..<8, using: &generator) == 0
                ? special.randomElement(using: &generator)! : Float.random(in: -100...100, using: &generator) * scale
        }
    }

    /// Scales are powers of two and there is no bias, so that outputs are the integer sums: they must be equal, not close.
    private func expectEqual(
        _ layer: some LinearLayer, _ dense: QuantizedLinear, scale: Float, _ generator: inout SeededGenerator,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for m in [1, 2, 31, 32, 33, 70] {
            let x = hostileInput(m, layer.inputs, scale: scale, &generator), expected = dense(x)
            for threads in [1, 3] {
                let y = layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true))
                #expect(y.bits == expected.bits, "\(m) rows, seed \(generator.seed)", sourceLocation: sourceLocation)
            }
            var workspace = Workspace(), output = Matrix(rows: layer.outputs, columns: m)
            layer.apply(
                x.transposed(), layout: .featureMajor, into: &output, layout: .featureMajor, workspace: &workspace, parallelism: .serial)
            #expect(output.transposed().bits == expected.bits, "\(m) rows, feature-major, seed \(generator.seed)", sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: BlockShape.all, [(Float(0x1p-4), 3), (0x1p-20, 255), (0x1p30, 0)])
    func staticScalesGiveTheCodesOfDenseLayers(shape: BlockShape, quantization: (scale: Float, zeroPoint: Int)) throws {
        var generator = SeededGenerator()
        let (n, k) = (150, 70), fixed = ActivationQuantization.fixed(scale: quantization.scale, zeroPoint: quantization.zeroPoint)
        var arrays = arrays(n, k, shape, &generator)
        arrays.scales = (0..<n).map { Float(sign: .plus, exponent: $0 % 5 - 2, significand: 1) }
        let sparse = try matrix(n, k, shape, arrays), weight = sparse.dense()
        let codes = (0..<n * k).map { Int8(weight[$0 / k, $0 % k] / arrays.scales[$0 / k]) }
        let dense = try QuantizedLinear(
            weight: QuantizedMatrix(rows: n, columns: k, scheme: .w8a8, codes: codes, scales: arrays.scales), activation: .relu,
            inputQuantization: fixed)
        let layer = try SparseLinear(weight: sparse, activation: .relu, inputQuantization: fixed)
        expectEqual(layer, dense, scale: quantization.scale, &generator)
    }

    @Test(arguments: NMSparsity.all) func staticScalesOfGroupsGiveTheCodesOfDenseLayers(sparsity: NMSparsity) throws {
        var generator = SeededGenerator()
        let (n, k) = (20, 70), fixed = ActivationQuantization.fixed(scale: 0x1p-3, zeroPoint: 100)
        var arrays = try NMSparseMatrix(generator.matrix(n, k), sparsity: sparsity).arrays()
        arrays.codes = arrays.values.map { $0 == 0 ? 0 : Int8.random(in: -127...127, using: &generator) }
        arrays.values = []
        arrays.scales = [1]
        let groups = try NMSparseMatrix(rows: n, columns: k, sparsity: sparsity, arrays: arrays), weight = groups.dense()
        let codes = (0..<n * k).map { Int8(weight[$0 / k, $0 % k]) }, scales = [Float](repeating: 1, count: n)
        let dense = try QuantizedLinear(
            weight: QuantizedMatrix(rows: n, columns: k, scheme: .w8a8, codes: codes, scales: scales), inputQuantization: fixed)
        expectEqual(try NMSparseLinear(weight: groups, inputQuantization: fixed), dense, scale: 0x1p-3, &generator)
    }

    /// Sparse layers in sequence run as one: each with its own static scale.
    @Test func chainsKeepTheScalesOfTheirLayers() throws {
        var generator = SeededGenerator()
        let layers = try [(60, 0x1p-4, 9), (40, 0x1p-2, 100)].map { (n, scale, zeroPoint) -> SparseLinear in
            let linear = try Linear(weight: generator.matrix(n, n == 60 ? 50 : 60))
            let weight = try BlockSparseMatrix(linear.weight, sparsity: 0.5, shape: .single, values: .int8)
            return try SparseLinear(weight: weight, inputQuantization: .fixed(scale: Float(scale), zeroPoint: zeroPoint))
        }
        let network = try Sequential(layers)
        for m in [1, 5, 64, 100] {
            let x = generator.matrix(m, 50)
            #expect(network(x).bits == layers[1](layers[0](x)).bits, "\(m) rows, seed \(generator.seed)")
        }
    }

    @Test func staticScalesThatHaveNoEffectAreRefused() throws {
        let linear = try Linear(weight: Matrix(rows: 4, columns: 4) { Float($0 + $1) })
        let float = try BlockSparseMatrix(linear.weight, sparsity: 0.5, shape: .single)
        #expect(throws: NumericsError.self) { try SparseLinear(weight: float, inputQuantization: .fixed(scale: 1, zeroPoint: 0)) }
        #expect(throws: NumericsError.self) {
            try NMSparseLinear(weight: NMSparseMatrix(linear.weight), inputQuantization: .fixed(scale: 1, zeroPoint: 0))
        }
    }

    /// Nothing is rounded again: the codes of the quantized layer where the mask keeps them, 0 elsewhere, its scales and its input scale.
    @Test func sparseLayersOfQuantizedOnesKeepTheirCodes() throws {
        var generator = SeededGenerator()
        let (n, k) = (19, 43), fixed = ActivationQuantization.fixed(scale: 0.03, zeroPoint: 17)
        let linear = try Linear(weight: generator.matrix(n, k), bias: generator.numbers(n), activation: .relu)
        let dense = try QuantizedLinear(linear, scheme: .w8a8, inputQuantization: fixed), weight = dense.denseWeight()
        let mask = try WeightMask(rows: n, columns: k, keeps: (0..<n * k).map { $0 % k % 4 < 2 && $0 % 5 != 0 })
        let expected = Matrix(rows: n, columns: k) { mask[$0, $1] ? weight[$0, $1] : 0 }
        for shape in BlockShape.all {
            let layer = try SparseLinear(dense, mask: mask, shape: shape)
            #expect(layer.denseWeight() == expected && layer.inputQuantization == fixed && layer.bias == dense.bias, "seed \(generator.seed)")
            #expect(layer.activation == .relu)
        }
        for sparsity in NMSparsity.all {
            let layer = try NMSparseLinear(dense, mask: mask, sparsity: sparsity)
            #expect(layer.denseWeight() == expected && layer.inputQuantization == fixed && layer.bias == dense.bias, "seed \(generator.seed)")
        }
        #expect(throws: NumericsError.self) { try SparseLinear(QuantizedLinear(linear, scheme: .w4a8), mask: mask) }
        #expect(throws: NumericsError.self) { try SparseLinear(dense, mask: WeightMask(rows: 1, columns: 1, keeps: [true])) }
        let crowded = try WeightMask(rows: n, columns: k, keeps: [Bool](repeating: true, count: n * k))
        #expect(throws: NumericsError.self) { try NMSparseLinear(dense, mask: crowded) }
    }
}
