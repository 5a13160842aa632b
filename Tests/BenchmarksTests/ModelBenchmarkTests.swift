import CompactNumerics
import Foundation
import ModelFiles
import Testing

@testable import Benchmarks

/// `Benchmarks model` says which tensors of a file it does not measure, and why.
@Suite struct ModelBenchmarkTests {
    @Test func skippedTensorsAreNamed() throws {
        let path = NSTemporaryDirectory() + "ModelBenchmarkTests-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let matrix = Matrix(rows: 16, columns: 32) { Float($0 - $1) }
        try SafetensorsFile.write(
            [
                TensorContent(name: "fc.weight", matrix: matrix), TensorContent(name: "word_embeddings.weight", matrix: matrix),
                TensorContent(name: "double", type: .f64, shape: [16, 16], bytes: [UInt8](repeating: 0, count: 16 * 16 * 8)),
                TensorContent(name: "narrow", matrix: Matrix(rows: 15, columns: 64)),
                TensorContent(name: "fc.bias", type: .f32, shape: [16], bytes: [UInt8](repeating: 0, count: 64)),
                TensorContent(name: "ids", type: .i64, shape: [16, 16], bytes: [UInt8](repeating: 0, count: 16 * 16 * 8)),
            ], to: path)
        let network = try Network(path: path, activations: nil)
        #expect(Set(network.layers.map(\.name)) == ["fc.weight", "double"])
        let skipped = network.skipped.map { "\($0.reason.prefix(15)): \($0.names)" }.sorted()
        #expect(
            skipped == [
                "named embedding: [\"word_embeddings.weight\"]", "of 1 dimensions: [\"fc.bias\"]", "of I64: [\"ids\"]",
                "smaller than 16: [\"narrow\"]",
            ])
        let all = try Network(path: path, activations: nil, embeddings: true)
        #expect(Set(all.layers.map(\.name)) == ["fc.weight", "double", "word_embeddings.weight"])
    }
}
