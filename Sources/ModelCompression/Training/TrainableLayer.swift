public import CompactNumerics

/// A layer that can be trained. Activations are [batch, height · width · channels], NHWC. A layer owns its output and its input
/// gradient, and overwrites them in its next pass.
public protocol TrainableLayer: AnyObject {
    /// Unique within a network.
    var name: String { get }
    /// In a fixed order; those of a weighted layer's product included.
    var parameters: [Parameter] { get }
    /// Numbers that are saved with the network although no gradient changes them, such as running statistics.
    var statistics: [(name: String, values: Tensor)] { get }
    /// Kind and options, as part of a network's fingerprint: "dense 784→300".
    var summary: String { get }

    /// Whether the layer, where it is a network's first, takes inputs as they are and not rounded to the arithmetic of training; by default not.
    var takesUnroundedInputs: Bool { get }

    /// The shape of one sample behind this layer.
    ///
    /// - Throws: `CompressionError.shapeMismatch` if the layer does not take samples of shape `input`.
    func outputShape(for input: SampleShape) throws(CompressionError) -> SampleShape

    /// The outputs of `input` [batch, inputs], as [batch, outputs]. `input` must keep its contents until `backward` has been called.
    func forward(_ input: Tensor, context: TrainingContext) -> Tensor

    /// Overwrites the gradients of the parameters, and returns that of the input where asked to.
    func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor?

    /// The layers that compute the same in a deployed network; weighted layers give theirs to `choose` first.
    func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) throws -> [any CompactNumerics.Layer]

    /// A layer of its own with the same numbers.
    func copy() -> any TrainableLayer
}

extension TrainableLayer {
    public var parameters: [Parameter] { [] }
    public var statistics: [(name: String, values: Tensor)] { [] }
    public var takesUnroundedInputs: Bool { false }

    /// The layers that compute the same in a deployed network, in float32.
    public func deployed() throws -> [any CompactNumerics.Layer] {
        try deployed { _, linear in linear }
    }
}

/// A layer with a weight matrix, which is what gets pruned and quantized.
public protocol WeightedLayer: TrainableLayer {
    /// [outputs, inputs]; of a convolution [output channels, window height · window width · channels].
    var weight: Parameter { get }
    /// [1, outputs], or nil.
    var bias: Parameter? { get }
    /// Computes outputs and gradients.
    var product: any LinearProduct { get set }
    /// Multiplications of weights for one sample.
    var multiplicationsPerSample: Int { get }
}

extension WeightedLayer {
    public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) + product.parameters }

    /// Weight and bias as a deployed layer.
    internal func linear() throws -> Linear {
        try Linear(weight: weight.value.matrix, bias: bias?.value.elements)
    }
}

/// Weights [outputs, inputs] and biases, uniform in ±1/√inputs: what PyTorch begins with, so that figures can be compared.
internal func initialParameters(
    name: String, outputs: Int, inputs: Int, hasBias: Bool, generator: inout SeededGenerator
) -> (weight: Parameter, bias: Parameter?) {
    let bound = 1 / Double(max(inputs, 1)).squareRoot()
    func uniform(_ rows: Int, _ columns: Int) -> Tensor {
        let tensor = Tensor(rows: rows, columns: columns)
        for index in 0..<tensor.count { tensor.pointer[index] = Float((2 * generator.uniform() - 1) * bound) }
        return tensor
    }
    let weight = Parameter(name: name + ".weight", value: uniform(outputs, inputs), decays: true)
    return (weight, hasBias ? Parameter(name: name + ".bias", value: uniform(1, outputs), decays: false) : nil)
}
