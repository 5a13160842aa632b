import Testing

@testable import CompactNumerics

/// Few rows of a sparse layer with int8 weights take another kernel than many; sums of integers are exact, so that each row has the bits that it has among
/// many. Sizes on both sides of the choice: many inputs for few outputs, and few for many.
@Suite struct SparseRowsTests {
    private func layer(
        _ outputs: Int, _ inputs: Int, _ shape: BlockShape, _ quantization: ActivationQuantization, _ generator: inout SeededGenerator
    ) throws -> SparseLinear {
        let weight = try BlockSparseMatrix(generator.matrix(outputs, inputs), sparsity: 0.9, shape: shape, values: .int8)
        return try SparseLinear(weight: weight, bias: generator.numbers(outputs), activation: .relu, inputQuantization: quantization)
    }

    @Test(arguments: BlockShape.all, [ActivationQuantization.dynamic, .fixed(scale: 0x1p-5, zeroPoint: 120)])
    func fewRowsHaveTheBitsOfMany(shape: BlockShape, quantization: ActivationQuantization) throws {
        var generator = SeededGenerator()
        for (outputs, inputs) in [(24, 603), (300, 41), (70, 70)] {
            let layer = try layer(outputs, inputs, shape, quantization, &generator), x = generator.matrix(70, inputs), expected = layer(x)
            for m in 1...9 {
                let few = Matrix(rows: m, columns: inputs) { x[$0, $1] }
                let rows = Matrix(rows: m, columns: outputs) { expected[$0, $1] }
                for threads in [1, 3] {
                    let parallelism = Parallelism(threads: threads, cutsSmallWork: true)
                    #expect(layer(few, parallelism: parallelism).bits == rows.bits, "\(m)×\(inputs)×\(outputs), seed \(generator.seed)")
                    var workspace = Workspace(), output = Matrix(rows: outputs, columns: m)
                    layer.applyFeatureMajor(few.transposed(), into: &output, workspace: &workspace, parallelism: parallelism)
                    #expect(output.transposed().bits == rows.bits, "feature-major \(m)×\(inputs)×\(outputs), seed \(generator.seed)")
                }
            }
        }
    }

    /// Layers of both kinds follow each other, so that what lies between them has either layout.
    @Test(arguments: BlockShape.all) func networksHaveTheBitsOfTheirLayers(shape: BlockShape) throws {
        var generator = SeededGenerator()
        let widths = [603, 24, 400, 16, 10]
        let layers = try zip(widths, widths.dropFirst()).map { inputs, outputs in try layer(outputs, inputs, shape, .dynamic, &generator) }
        let network = try Sequential(layers)
        for m in [1, 2, 3, 5, 8, 9, 40] {
            let x = generator.matrix(m, widths[0]), expected = layers.reduce(x) { $1($0) }
            for threads in [1, 3] {
                let y = network(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true))
                #expect(y.bits == expected.bits, "\(m) rows, seed \(generator.seed)")
            }
        }
    }

    /// What the other tests are for happens: sizes of both kinds are there on sets whose kernels take tiles.
    @Test func theChoiceDependsOnTheSize() throws {
        var generator = SeededGenerator()
        let tall = try layer(24, 603, .single, .dynamic, &generator), wide = try layer(300, 41, .single, .dynamic, &generator)
        if tall.tileRows > 1 { #expect(tall.fewRows > wide.fewRows && tall.fewRows > 1) }
        let float = try SparseLinear(Linear(weight: generator.matrix(24, 603)), sparsity: 0.9, shape: .single)
        #expect(float.fewRows == 1)
    }
}
