public import CompactNumerics
internal import CTraining

/// max(x, 0).
public final class ReLULayer: TrainableLayer {
    public let name: String
    private let output = Tensor()
    private let inputGradient = Tensor()
    public var summary: String { "relu" }

    public init(_ name: String) {
        self.name = name
    }

    public func outputShape(for input: SampleShape) -> SampleShape { input }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        output.reshape(rows: input.rows, columns: input.columns)
        ck_relu_forward_f32(input.pointer, output.pointer, input.count)
        return output
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        guard needsInputGradient else { return nil }
        inputGradient.reshape(rows: output.rows, columns: output.columns)
        ck_relu_backward_f32(output.pointer, outputGradient.pointer, inputGradient.pointer, output.count)
        return inputGradient
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) -> [any CompactNumerics.Layer] { [ReLU()] }
    public func copy() -> any TrainableLayer { ReLULayer(name) }
}

/// An image becomes the vector of its numbers. Nothing moves.
public final class FlattenLayer: TrainableLayer {
    public let name: String
    public var summary: String { "flatten" }

    public init(_ name: String) {
        self.name = name
    }

    public func outputShape(for input: SampleShape) -> SampleShape { SampleShape(input.count) }
    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor { input }
    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        needsInputGradient ? outputGradient : nil
    }
    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) -> [any CompactNumerics.Layer] { [] }
    public func copy() -> any TrainableLayer { FlattenLayer(name) }
}

/// In training, sets each number to 0 with probability `rate` and divides the others by 1 − rate (Srivastava et al. 2014); otherwise
/// changes nothing. What is dropped depends on the context's `stepSeed` and the layer's name alone.
public final class DropoutLayer: TrainableLayer {
    public let name: String
    /// 0 ≤ rate < 1.
    public let rate: Float
    private let keep = Tensor()
    private let output = Tensor()
    private let inputGradient = Tensor()
    private var isDropping = false
    public var summary: String { "dropout \(rate)" }

    /// - Throws: `CompressionError.outOfRange` unless 0 ≤ `rate` < 1.
    public init(_ name: String, rate: Float) throws(CompressionError) {
        guard rate >= 0, rate < 1 else { throw .outOfRange(what: "rate of dropout", allowed: "0 ≤ rate < 1", found: "\(rate)") }
        (self.name, self.rate) = (name, rate)
    }

    public func outputShape(for input: SampleShape) -> SampleShape { input }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        isDropping = context.isTraining && rate > 0
        guard isDropping else { return input }
        keep.reshape(rows: input.rows, columns: input.columns)
        output.reshape(rows: input.rows, columns: input.columns)
        var name = name
        let salt = name.withUTF8 { ck_fnv1a_64($0.baseAddress!, $0.count, 0xCBF2_9CE4_8422_2325) }
        ck_dropout_f32(input.pointer, input.count, rate, SplitMix64.mix(context.stepSeed ^ salt), keep.pointer, output.pointer)
        return output
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        guard needsInputGradient, isDropping else { return needsInputGradient ? outputGradient : nil }
        inputGradient.reshape(rows: keep.rows, columns: keep.columns)
        ck_multiply_f32(outputGradient.pointer, keep.pointer, inputGradient.pointer, keep.count)
        return inputGradient
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) -> [any CompactNumerics.Layer] { [] }

    public func copy() -> any TrainableLayer {
        DropoutLayer(copying: self)
    }

    private init(copying other: DropoutLayer) {
        (name, rate) = (other.name, other.rate)
    }
}
