import CompactNumerics
import Foundation
import ModelFiles

/// The weight matrices of a network, with the activations to try them on.
struct Network {
    /// One linear layer.
    struct Matrix2D {
        let name: String
        let linear: Linear
        /// Activations [M, K] that reach this layer; nil for random ones.
        let activations: Matrix?
    }

    let title: String
    let layers: [Matrix2D]
    /// Where the whole network is known: test images and labels.
    let test: (images: Matrix, labels: [Int])?

    /// Tensors of the file that are not measured: why, and their names.
    let skipped: [(reason: String, names: [String])]

    /// Every 2-D weight of a safetensors file that a matrix product uses. Embedding tables, which are looked up rather than multiplied, are known
    /// by nothing but their names; `embeddings` measures them too.
    init(path: String, activations: String?, embeddings: Bool = false) throws {
        let file = try SafetensorsFile(path: path)
        let given = try activations.map { try SafetensorsFile(path: $0) }
        var layers: [Matrix2D] = [], skipped: [String: [String]] = [:]
        for tensor in file.tensors {
            if let reason = Self.reasonToSkip(tensor, embeddings: embeddings) {
                skipped[reason, default: []].append(String(tensor.name.quoted.dropFirst().dropLast()))
                continue
            }
            let linear = try Linear(weight: file.matrix(named: tensor.name))
            let input = try given?.contains(tensor.name) == true ? given?.matrix(named: tensor.name) : nil
            if let input, input.columns != linear.inputs {
                throw BenchmarkError(
                    "activations of \(tensor.name): expected \(linear.inputs) columns, found \(input.columns)")
            }
            layers.append(Matrix2D(name: String(tensor.name.quoted.dropFirst().dropLast()), linear: linear, activations: input))
        }
        guard !layers.isEmpty else {
            throw BenchmarkError("\(path): expected 2-D float weights of at least 16×16, found none among \(file.tensors.count) tensors")
        }
        self.layers = layers
        self.skipped = skipped.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        title = path
        test = nil
    }

    /// Nil for a weight to measure.
    private static func reasonToSkip(_ tensor: TensorDescription, embeddings: Bool) -> String? {
        if !tensor.type.isFloat { return "of \(tensor.type.rawValue)" }
        if tensor.shape.count != 2 { return "of \(tensor.shape.count) dimensions" }
        if tensor.shape.contains(where: { $0 < 16 }) { return "smaller than 16×16" }
        // By bytes: a name from a file can make a search by characters last for ever.
        let name = Array(tensor.name.utf8), word = Array("embedding".utf8)
        let isTable = name.indices.contains { name[$0...].starts(with: word) }
        return isTable && !embeddings ? "named embedding: looked up, not multiplied (--embeddings measures them)" : nil
    }

    /// LeNet-300-100, trained on Fashion-MNIST by Scripts/train_lenet.py, with the first 2,000 test images.
    init() throws {
        func resource(_ name: String) throws -> String {
            guard let url = Bundle.module.url(forResource: name, withExtension: nil) else {
                throw BenchmarkError("resource \(name): expected it in the bundle of the program, found none")
            }
            return url.path
        }
        let file = try SafetensorsFile(path: resource("lenet-300-100-fashion-mnist.safetensors"))
        let images = try IDXFile(path: resource("t10k-first-2000-images-idx3-ubyte.gz")).images()
        let labels = try IDXFile(path: resource("t10k-first-2000-labels-idx1-ubyte.gz")).labels()
        var activations = images
        layers = try (1...3).map { index in
            let linear = try Linear(
                weight: file.matrix(named: "fc\(index).weight"), bias: file.floats(named: "fc\(index).bias"),
                activation: index < 3 ? .relu : .none)
            defer { activations = linear(activations) }
            return Matrix2D(name: "fc\(index).weight", linear: linear, activations: activations)
        }
        title = "LeNet-300-100 on Fashion-MNIST (shipped)"
        test = (images, labels)
        skipped = []
    }

    /// Share of test images that the network with the given layers classifies rightly.
    static func accuracy(_ layers: [any Layer], images: Matrix, labels: [Int], _ parallelism: Parallelism) throws -> Double {
        let logits = try Sequential(layers)(images, parallelism: parallelism)
        var right = 0
        for row in 0..<logits.rows {
            var best = 0
            for column in 1..<logits.columns where logits[row, column] > logits[row, best] { best = column }
            right += best == labels[row] ? 1 : 0
        }
        return Double(right) / Double(logits.rows)
    }
}

extension TensorType {
    var isFloat: Bool { [.f32, .f64, .f16, .bf16, .f8e4m3, .f8e5m2].contains(self) }
}

extension Matrix {
    /// The first `count` rows, starting over where there are fewer.
    func repeatedRows(_ count: Int) -> Matrix {
        var result = Matrix(rows: count, columns: columns)
        withUnsafeBufferPointer { from in
            result.withUnsafeMutableBufferPointer { to in
                for row in 0..<count {
                    (to.baseAddress! + row * columns).update(from: from.baseAddress! + row % rows * columns, count: columns)
                }
            }
        }
        return result
    }
}
