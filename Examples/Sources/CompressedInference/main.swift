// Takes a float32 layer from a file, compresses it in several ways, and compares bytes and outputs.
import CompactNumerics
import Foundation
import ModelFiles

// A file as a training framework would write it: one layer of 512 outputs and 1,024 inputs.
let path = FileManager.default.temporaryDirectory.appendingPathComponent("layer-\(UUID().uuidString).safetensors").path
defer { try? FileManager.default.removeItem(atPath: path) }
let trained = Matrix(rows: 512, columns: 1024) { row, column in Float.random(in: -0.1...0.1) }
try SafetensorsFile.write([TensorContent(name: "fc.weight", matrix: trained)], to: path)

let file = try SafetensorsFile(path: path)
let dense = try Linear(weight: file.matrix(named: "fc.weight"), activation: .relu)
let input = Matrix(rows: 32, columns: 1024) { _, _ in Float.random(in: -1...1) }
let expected = dense(input)

let compressed: [(String, any LinearLayer)] = [
    ("FP16", try HalfLinear(dense, format: .fp16)),
    ("W8A8", try QuantizedLinear(dense, scheme: .w8a8)),
    ("W4A8, groups of 32", try QuantizedLinear(dense, scheme: .w4a8(groupSize: 32))),
    ("W2A8, groups of 128", try QuantizedLinear(dense, scheme: .w2a8(groupSize: 128))),
    ("half pruned, CSR", try SparseLinear(dense, sparsity: 0.5)),
    ("half pruned, 4x1, int8", try SparseLinear(dense, sparsity: 0.5, shape: BlockShape(rows: 4, columns: 1), values: .int8)),
]
print("float32: \(dense.byteCount) bytes")
for (name, layer) in compressed {
    let output = layer(input, parallelism: .allCores)
    var error: Float = 0, power: Float = 0
    for row in 0..<output.rows {
        for column in 0..<output.columns {
            error += (output[row, column] - expected[row, column]) * (output[row, column] - expected[row, column])
            power += expected[row, column] * expected[row, column]
        }
    }
    print("\(name): \(layer.byteCount) bytes, output error \((100 * (error / power).squareRoot() * 100).rounded() / 100) %")
}

let network = try Sequential([compressed[1].1, ReLU(), Linear(weight: Matrix(rows: 10, columns: 512) { _, _ in Float.random(in: -1...1) })])
print("a network of \(network.layers.count) layers gives \(network(input).columns) outputs for each of \(input.rows) rows")
