import CompactNumerics
@testable import ModelCompression
import Testing

/// Sizes from outside that no machine holds: typed errors, no traps.
@Suite struct HostileSizeTests {
    @Test func samples() throws {
        let one = Matrix(rows: 1, columns: 1)
        for shape in [
            SampleShape(height: .max, width: .max, channels: .max), SampleShape(height: 1 << 32, width: 1 << 32, channels: 1), SampleShape(-1),
        ] {
            #expect(throws: CompressionError.self) { try LabelledData(inputs: one, labels: [0], classes: 1, shape: shape) }
            #expect(throws: CompressionError.self) { try TrainableNetwork(inputShape: shape, layers: [FlattenLayer("flatten")]) }
        }
        for classes in [0, -1, .max, .min] {
            #expect(throws: CompressionError.self) { try LabelledData(inputs: one, labels: [0], classes: classes, shape: SampleShape(1)) }
        }
    }

    @Test func bytesOfMixedPrecision() throws {
        let layers = ["a", "b"].map { LayerSensitivity(layer: $0, format: .float32, accuracy: 1, bytes: .max) }
        #expect(throws: CompressionError.self) { try MixedPrecision(layers, budget: .max) }
    }

    @Test func inputsBeyondIntegerSums() throws {
        let network = try TrainableNetwork.mlp([65_537, 1, 2])
        for name in ["w8a8", "w2a8-channel", "w4a8-g32"] {
            let configuration = QuantizationConfiguration(format: try WeightFormat(named: name))
            #expect(throws: CompressionError.self) { try configuration.validate(for: network) }
        }
        #expect(throws: Never.self) { try QuantizationConfiguration(format: .half(.bf16)).validate(for: network) }
    }
}
