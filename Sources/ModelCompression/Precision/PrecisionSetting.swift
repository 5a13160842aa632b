internal import CompactNumerics
internal import CTraining

/// A training run on which number formats differ, by name: what `Benchmarks study precision` trains.
public struct PrecisionSetting: Sendable, Hashable, Codable {
    public var name: String
    /// Widths of a multilayer perceptron, inputs first.
    public var widths: [Int]
    /// Logits are this factor times the outputs of the last layer; gradients shrink with it.
    public var outputScale: Float
    /// Of the run in float32; `configuration(_:_:)` changes arithmetic and loss scaling alone.
    public var training: TrainerConfiguration

    public init(name: String, widths: [Int], outputScale: Float, training: TrainerConfiguration) {
        (self.name, self.widths, self.outputScale, self.training) = (name, widths, outputScale, training)
    }

    /// The same run in another arithmetic.
    public func configuration(_ arithmetic: Arithmetic, _ scaling: LossScaling, seed: UInt64) -> TrainerConfiguration {
        var result = training
        (result.arithmetic, result.lossScaling, result.seed) = (arithmetic, scaling, seed)
        return result
    }

    /// The network of the run.
    public func network(seed: UInt64) throws(CompressionError) -> TrainableNetwork { try .mlp(widths, seed: seed) }

    /// The loss of the run.
    public func loss() -> ScaledCrossEntropy { ScaledCrossEntropy(outputScale: outputScale) }
}

/// Cross-entropy of outputs times a constant: −log softmax(outputScale · z)[label]. Class order and accuracy are those of z.
public final class ScaledCrossEntropy: TrainingLoss {
    public let outputScale: Float
    private let inner = CrossEntropy()
    private let scaled = Tensor()

    /// - Precondition: `outputScale` is positive and finite.
    public init(outputScale: Float) {
        trapUnless(outputScale > 0 && outputScale.isFinite, "output scale: expected a positive, finite number, found \(outputScale)")
        self.outputScale = outputScale
    }

    public func evaluate(_ logits: Tensor, batch: Batch, gradient: Tensor) -> Double {
        scaled.assign(logits)
        ck_scale_f32(scaled.pointer, scaled.count, outputScale)
        let loss = inner.evaluate(scaled, batch: batch, gradient: gradient)
        ck_scale_f32(gradient.pointer, gradient.count, outputScale)
        return loss
    }
}
