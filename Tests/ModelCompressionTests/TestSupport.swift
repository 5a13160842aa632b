import CompactNumerics
import Foundation
@testable import ModelCompression
import Testing

extension SeededGenerator {
    /// Gaussian numbers.
    mutating func tensor(_ rows: Int, _ columns: Int) -> Tensor {
        let tensor = Tensor(rows: rows, columns: columns)
        for index in 0..<tensor.count { tensor.pointer[index] = Float(gaussian()) }
        return tensor
    }

    /// Samples whose classes can be learned: each class has a random centre.
    mutating func data(_ count: Int, shape: SampleShape, classes: Int, noise: Float = 0.5) throws -> LabelledData {
        let centres = tensor(classes, shape.count)
        let labels = (0..<count).map { _ in index(below: classes) }
        var generator = self
        let inputs = Matrix(rows: count, columns: shape.count) { centres[labels[$0], $1] + noise * Float(generator.gaussian()) }
        self = generator
        return try LabelledData(inputs: inputs, labels: labels, classes: classes, shape: shape)
    }
}

extension TrainableNetwork {
    /// Bits of all numbers and running statistics.
    var bits: [UInt32] {
        let tensors = parameters.map(\.value) + layers.flatMap { $0.statistics.map(\.values) }
        return tensors.flatMap { $0.elements.map(\.bitPattern) }
    }
}

/// A path that nobody else uses, removed at the end of `body`.
func withTemporaryFile<Result>(_ body: (String) throws -> Result) rethrows -> Result {
    let path = NSTemporaryDirectory() + "model-compression-\(UInt64.random(in: 0...UInt64.max)).safetensors"
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

func windows(
    _ height: Int, _ width: Int, _ channels: Int, window: (Int, Int), stride: Int = 1, padding: Int = 0
) throws -> ImageWindows {
    try ImageWindows(
        height: height, width: width, channels: channels, windowHeight: window.0, windowWidth: window.1, stride: stride, padding: padding)
}

enum LogSum {
    /// log Σ exp(x).
    static func of(_ values: [Double]) -> Double { log(values.reduce(0) { $0 + exp($1) }) }
}
