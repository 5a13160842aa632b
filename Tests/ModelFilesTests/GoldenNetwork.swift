import CompactNumerics
import Foundation
import ModelFiles
import Testing

/// The network whose files of each schema are committed in Golden: every kind of layer, small.
enum GoldenNetwork {
    static func matrix(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
        var state = seed
        return Matrix(rows: rows, columns: columns) { _, _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(Int64(bitPattern: state) >> 33) / Float(1 << 30)
        }
    }

    private static func linear(_ n: Int, _ k: Int, bias: Bool = true) throws -> Linear {
        try Linear(weight: matrix(n, k, seed: UInt64(n * k)), bias: bias ? (0..<n).map { Float($0) / 7 - 1 } : nil)
    }

    static let input = matrix(5, 64, seed: 9)

    private static func images() throws -> [any Layer] {
        let conv = try ImageWindows(height: 8, width: 8, channels: 1, windowHeight: 3, windowWidth: 3, padding: 1)
        let pool = try ImageWindows(height: 8, width: 8, channels: 4, windowHeight: 2, windowWidth: 2, stride: 2)
        let deep = try ImageWindows(height: 4, width: 4, channels: 4, windowHeight: 3, windowWidth: 3, padding: 1)
        let small = try ImageWindows(height: 4, width: 4, channels: 8, windowHeight: 2, windowWidth: 2, stride: 2)
        return [
            try Convolution(windows: conv, linear: QuantizedLinear(linear(4, 9), scheme: .w8a8)), ReLU(),
            try ScaleShift(scale: [1, 2, 0.1, 4], shift: [0, 1, 0, -1], positions: 64), ReLU(), MaxPool(windows: pool),
            try Convolution(windows: deep, linear: linear(8, 36, bias: false)), AveragePool(windows: small),
        ]
    }

    private static func quantized() throws -> [any Layer] {
        let square = try linear(32, 32), zeroPoints = (0..<32).map { (place: Int) -> Int8 in Int8(place % 16 - 8) }
        return [
            try QuantizedLinear(square, scheme: .w4a8, inputQuantization: .fixed(scale: 0.1, zeroPoint: 3)),
            try QuantizedLinear(square, scheme: QuantizationScheme(named: "w4a8-g32")), ReLU(), try QuantizedLinear(square, scheme: .w8a7),
            try QuantizedLinear(square, scheme: .w2a8), try QuantizedLinear(square, scheme: .w1a8), try QuantizedLinear(square, scheme: .w1a1),
            try WeightOnlyLinear(weight: QuantizedMatrix(matrix(32, 32, seed: 5), scheme: .ternary), bias: nil),
            try WeightOnlyLinear(
                weight: QuantizedMatrix(matrix(32, 32, seed: 6), scheme: QuantizationScheme(named: "w4a8-g32")), zeroPoints: zeroPoints),
        ]
    }

    private static func sparse() throws -> [any Layer] {
        let square = try linear(32, 32), mask = try WeightMask(rows: 32, columns: 32, keeps: (0..<1024).map { $0 * $0 % 7 == 1 })
        return [
            try SparseLinear(linear(32, 32, bias: false), sparsity: 0.9),
            try SparseLinear(square, sparsity: 0.5, shape: BlockShape(rows: 16, columns: 16)),
            try SparseLinear(square, sparsity: 0.5, shape: BlockShape(rows: 4, columns: 1), values: .int8),
            try SparseLinear(weight: BlockSparseMatrix(square.weight, mask: mask, shape: .single, values: .int8, sharesScale: true)),
            try NMSparseLinear(square), try NMSparseLinear(square, sparsity: .fourOfEight, values: .int8),
        ]
    }

    /// What schema 1 could not hold: static scales of sparse layers, and weights that are stored as zeros.
    private static func sinceSchemaTwo() throws -> [any Layer] {
        let square = matrix(32, 32, seed: 12), pruned = Matrix(rows: 32, columns: 32) { $0 % 3 == 0 ? 0 : square[$0, $1] }
        let mask = try WeightMask(rows: 32, columns: 32, keeps: (0..<1024).map { $0 % 8 < 4 }),
            scale = ActivationQuantization.fixed(scale: 0.25, zeroPoint: 7)
        let blocks = try BlockSparseMatrix(pruned, mask: mask, shape: .single, values: .int8)
        let groups = try NMSparseMatrix(pruned, mask: mask, sparsity: .fourOfEight, values: .int8)
        return [
            try SparseLinear(weight: blocks, inputQuantization: scale), try NMSparseLinear(weight: groups, inputQuantization: scale),
            try SparseLinear(weight: BlockSparseMatrix(pruned, mask: mask, shape: BlockShape(rows: 8, columns: 1), expectedRows: 1)),
        ]
    }

    static func layers(schema: Int) throws -> [any Layer] {
        let halves = [try HalfLinear(linear(32, 32), format: .fp16), try HalfLinear(linear(32, 32), format: .bf16)]
        return try images() + quantized() + halves + sparse() + (schema == 1 ? [] : sinceSchemaTwo()) + [linear(10, 32)]
    }

    /// The outputs of each layer for those of the one before, the first for `input`.
    static func outputs(_ network: Sequential) -> [Matrix] {
        network.layers.reduce(into: []) { outputs, layer in outputs.append(layer(outputs.last ?? input)) }
    }

    /// Writes the files of the schema that the writer has: `GOLDEN_FOLDER=… swift test --filter GoldenFileTests`.
    static func write(schema: Int, to folder: String) throws {
        let network = try Sequential(layers(schema: schema))
        try DeployedModel.write(network, to: "\(folder)/deployed-\(schema).safetensors")
        let outputs = outputs(network).enumerated().map { TensorContent(name: "\($0)", matrix: $1) }
        try SafetensorsFile.write(outputs, to: "\(folder)/deployed-\(schema)-outputs.safetensors")
    }
}
