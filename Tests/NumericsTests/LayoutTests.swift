import CompactNumerics
import Testing

@Suite struct LayoutTests {
    private static let batches = [1, 2, 7, 16, 33, 65]

    /// Whole numbers: all sums of products are exact, in whatever order BLAS takes them.
    private func wholeNumbers(_ generator: inout SeededGenerator, _ rows: Int, _ columns: Int) -> Matrix {
        Matrix(rows: rows, columns: columns) { _, _ in Float(Int.random(in: -3...3, using: &generator)) }
    }

    private func oneByOne(_ layers: [any Layer], _ x: Matrix, _ parallelism: Parallelism) -> Matrix {
        layers.reduce(x) { $1($0, parallelism: parallelism) }
    }

    @Test(arguments: batches, [BlockShape.single.description, "4x1", "1x4", "16x16"]) func mixedNetworkIsOneLayerAfterTheOther(
        m: Int, shapeName: String
    ) throws {
        let shape = BlockShape.all.first { $0.description == shapeName } ?? .single
        var generator = SeededGenerator()
        func sparse(_ outputs: Int, _ inputs: Int, _ values: SparseValues = .float32) throws -> SparseLinear {
            let linear = try Linear(
                weight: wholeNumbers(&generator, outputs, inputs), bias: (0..<outputs).map { Float($0 % 5 - 2) })
            return try SparseLinear(linear, sparsity: 0.7, shape: shape, values: values, expectedRows: m)
        }
        let dense = try Linear(weight: wholeNumbers(&generator, 64, 35), bias: (0..<64).map { Float($0 % 3) })
        let quantized = try QuantizedLinear(Linear(weight: generator.matrix(37, 64), bias: generator.numbers(37)), scheme: .w8a8)
        let layers: [any Layer] = [
            try sparse(50, 41), ReLU(), try sparse(35, 50), dense, quantized, try sparse(40, 37), try sparse(19, 40, .int8),
        ]
        let network = try Sequential(layers), x = wholeNumbers(&generator, m, 41)
        let expected = oneByOne(layers, x, .serial)
        for threads in [1, 2, 5] {
            let parallelism = Parallelism(threads: threads, cutsSmallWork: true)
            #expect(network(x, parallelism: parallelism).bits == expected.bits, "\(threads) threads, seed \(generator.seed)")
            #expect(oneByOne(layers, x, parallelism).bits == expected.bits, "seed \(generator.seed)")
        }
    }

    @Test(arguments: batches) func sparseNetworkGivesTheSameBits(m: Int) throws {
        var generator = SeededGenerator()
        let widths = [100, 77, 130, 24]
        let layers = try zip(widths, widths.dropFirst()).map { inputs, outputs in
            try SparseLinear(
                Linear(weight: generator.matrix(outputs, inputs), bias: generator.numbers(outputs), activation: .relu), sparsity: 0.8,
                expectedRows: m)
        }
        let network = try Sequential(layers), x = generator.matrix(m, 100)
        let expected = oneByOne(layers, x, .serial).bits
        for threads in [1, 2, 3] {
            #expect(network(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == expected, "seed \(generator.seed)")
        }
    }

    @Test func aWorkspaceServesBatchesOfAllSizes() throws {
        var generator = SeededGenerator()
        let layers = try [(30, 20), (30, 30), (8, 30)].map { outputs, inputs in
            try SparseLinear(Linear(weight: generator.matrix(outputs, inputs)), sparsity: 0.5)
        }
        let network = try Sequential(layers)
        var workspace = Workspace()
        for m in [30, 1, 2, 30, 0, 65] {
            let x = generator.matrix(m, 20)
            var y = Matrix(rows: m, columns: 8)
            network.apply(x, into: &y, workspace: &workspace, parallelism: .serial)
            #expect(y.bits == oneByOne(layers, x, .serial).bits, "\(m) rows, seed \(generator.seed)")
        }
    }

    @Test func layoutsBetweenLayers() throws {
        var generator = SeededGenerator()
        func dense() throws -> Linear { try Linear(weight: generator.matrix(32, 32)) }
        let linear = try dense(), sparse = try SparseLinear(dense(), sparsity: 0.9), int8 = try QuantizedLinear(dense(), scheme: .w8a8)
        let half = try HalfLinear(dense(), format: .bf16), identity = Identity(layoutSupport: .unchanged)
        func plan(_ layers: any Layer..., rows: Int = 16) throws -> String {
            try Sequential(layers).layouts(rows: rows).map { $0 == .rowMajor ? "r" : "f" }.joined()
        }
        #expect(try plan() == "r")
        #expect(try plan(sparse) == "rr")
        #expect(try plan(sparse, sparse, sparse) == "rffr")
        #expect(try plan(sparse, sparse, sparse, rows: 1) == "rrrr")
        #expect(try plan(sparse, ReLU(), sparse) == "rfr")  // the ReLU is part of the first
        #expect(try plan(sparse, identity, sparse) == "rffr")
        #expect(try plan(identity, ReLU(), sparse, sparse) == "rrrfr")
        #expect(try plan(linear, linear, linear) == "rrrr")
        #expect(try plan(linear, sparse, linear, sparse) == "rfffr")
        #expect(try plan(sparse, int8, sparse, half, sparse, sparse) == "rrrrrfr")
        #expect(try plan(sparse, Identity(layoutSupport: .rowMajor), sparse) == "rrrr")
        #expect(try plan(sparse, Sequential([sparse, int8]), sparse) == "rfrrr")
        #expect(try Sequential([sparse, try Sequential([sparse, int8])]).layers.count == 3)
    }

    @Test(arguments: [1, 2, 9]) func everyLayerTakesEveryLayout(m: Int) throws {
        var generator = SeededGenerator()
        let linear = try Linear(weight: wholeNumbers(&generator, 21, 32), bias: (0..<21).map(Float.init), activation: .relu)
        let layers: [any Layer] = [
            linear, try SparseLinear(linear, sparsity: 0.5), try QuantizedLinear(linear, scheme: .w8a8), try HalfLinear(linear, format: .fp16),
            ReLU(),
            try Sequential([linear, try SparseLinear(Linear(weight: wholeNumbers(&generator, 4, 21)), sparsity: 0.5)]),
        ]
        let x = wholeNumbers(&generator, m, 32)
        for layer in layers {
            let expected = layer(x)
            for (from, to) in [
                (ActivationLayout.rowMajor, ActivationLayout.featureMajor), (.featureMajor, .rowMajor), (.featureMajor, .featureMajor),
            ] {
                var workspace = Workspace()
                var y = to == .rowMajor ? Matrix(rows: m, columns: expected.columns) : Matrix(rows: expected.columns, columns: m)
                layer.apply(
                    from == .rowMajor ? x : x.transposed(), layout: from, into: &y, layout: to, workspace: &workspace, parallelism: .serial)
                #expect((to == .rowMajor ? y : y.transposed()).bits == expected.bits, "\(type(of: layer)) \(from) → \(to), seed \(generator.seed)")
            }
        }
    }

    /// A float32 layer with any numbers keeps the error bound of sums in every layout.
    @Test func linearInFeatureMajorIsTheProduct() throws {
        var generator = SeededGenerator()
        let (m, k, n) = (13, 70, 29)
        let layer = try Linear(weight: generator.matrix(n, k), bias: generator.numbers(n)), x = generator.matrix(m, k)
        var workspace = Workspace(), y = Matrix(rows: n, columns: m)
        layer.apply(x.transposed(), layout: .featureMajor, into: &y, layout: .featureMajor, workspace: &workspace, parallelism: .serial)
        #expect(worstError(y.transposed(), reference(x, layer.weight, layer.bias), terms: k) <= 1, "seed \(generator.seed)")
    }
}

/// Copies its input, with the layouts that a test asks for.
private struct Identity: Layer {
    let layoutSupport: LayoutSupport
    var inputCount: Int? { nil }
    var byteCount: Int { 0 }
    func outputCount(inputs: Int) -> Int { inputs }
    func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) { output = input }
}
