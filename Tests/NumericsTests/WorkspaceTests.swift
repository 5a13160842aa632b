import CompactNumerics
import Testing

/// Scratch memory of layers does not grow with the batch, and cutting a batch into chunks changes no bits.
@Suite struct WorkspaceTests {
    private static func layers(_ generator: inout SeededGenerator) throws -> [(name: String, layer: any LinearLayer)] {
        let dense = try Linear(weight: generator.matrix(48, 64), bias: generator.numbers(48))
        var layers: [(String, any LinearLayer)] = [("float32", dense)]
        for format in HalfMatrix.Format.allCases { layers.append(("\(format)", try HalfLinear(dense, format: format))) }
        let schemes: [QuantizationScheme] = try [
            .w8a8, .w8a7, .w4a8, .w4a8(groupSize: 32), .w2a8, .ternary, .w1a8, .w1a1,
        ]
        for scheme in schemes {
            let weight = try QuantizedMatrix(dense.weight, scheme: scheme)
            layers.append((scheme.description, try QuantizedLinear(weight: weight, bias: dense.bias)))
            let fixed = ActivationQuantization.fixed(scale: 0.02, zeroPoint: scheme.activations == .sign ? 0 : 60)
            layers.append((scheme.description + ", static", try QuantizedLinear(weight: weight, bias: dense.bias, inputQuantization: fixed)))
            if scheme.activations != .sign { layers.append((scheme.description + ", weights alone", try WeightOnlyLinear(weight: weight))) }
        }
        for values in [SparseValues.float32, .int8] {
            for shape in BlockShape.all {
                layers.append(("\(shape) \(values)", try SparseLinear(dense, sparsity: 0.5, shape: shape, values: values)))
            }
            for sparsity in NMSparsity.all {
                layers.append(("\(sparsity) \(values)", try NMSparseLinear(dense, sparsity: sparsity, values: values)))
            }
        }
        return layers
    }

    @Test func scratchMemoryDoesNotGrowWithTheBatch() throws {
        var generator = SeededGenerator()
        let layers = try Self.layers(&generator), input = generator.matrix(8192, 64)
        for (name, layer) in layers {
            for threads in [1, 2] {
                let bytes = [512, 8192].map { rows in
                    var workspace = Workspace(), output = Matrix(rows: rows, columns: 48)
                    let part = Matrix(rows: rows, columns: 64) { input[$0, $1] }
                    layer.apply(part, into: &output, workspace: &workspace, parallelism: Parallelism(threads: threads))
                    return workspace.byteCount
                }
                #expect(bytes[1] <= bytes[0], "\(name), \(threads) threads: \(bytes)")
            }
        }
    }

    /// Rows of a chunk boundary: each row of a large product has the bits that it has in a product of its own neighbourhood.
    @Test func chunksChangeNoBits() throws {
        var generator = SeededGenerator()
        let layers = try Self.layers(&generator)
        for rows in [255, 256, 257, 520, 777] {
            let input = generator.matrix(rows, 64)
            for (name, layer) in layers where layer is QuantizedLinear || layer is NMSparseLinear {
                var workspace = Workspace(), whole = Matrix(rows: rows, columns: 48), tail = Matrix(rows: 9, columns: 48)
                layer.apply(input, into: &whole, workspace: &workspace, parallelism: Parallelism(threads: 2, cutsSmallWork: true))
                let last = Matrix(rows: 9, columns: 64) { input[rows - 9 + $0, $1] }
                layer.apply(last, into: &tail, workspace: &workspace, parallelism: .serial)
                #expect(Array(whole.bits.suffix(9 * 48)) == tail.bits, "\(name), \(rows) rows, seed \(generator.seed)")
            }
        }
    }
}
