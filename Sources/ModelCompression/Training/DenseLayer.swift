public import CompactNumerics

/// Y = X · Wᵀ + b on vectors; an image counts as the vector of its numbers.
public final class DenseLayer: WeightedLayer {
    public let name: String
    public let weight: Parameter
    public let bias: Parameter?
    public var product: any LinearProduct
    private let output = Tensor()
    private let inputGradient = Tensor()
    private var input: Tensor?

    public var inputs: Int { weight.value.columns }
    public var outputs: Int { weight.value.rows }
    public var multiplicationsPerSample: Int { weight.value.count }
    public var summary: String { "dense \(inputs)→\(outputs)\(bias == nil ? " without bias" : "")" }

    /// A layer with random weights, uniform in ±1/√inputs.
    ///
    /// - Precondition: `inputs` and `outputs` are positive.
    public init(_ name: String, inputs: Int, outputs: Int, hasBias: Bool = true, generator: inout SeededGenerator) {
        trapUnless(inputs > 0 && outputs > 0, "dense layer: expected at least 1 input and output, found \(inputs) and \(outputs)")
        self.name = name
        (weight, bias) = initialParameters(name: name, outputs: outputs, inputs: inputs, hasBias: hasBias, generator: &generator)
        product = FloatProduct()
    }

    /// A layer of given parameters: `weight` [outputs, inputs], `bias` [1, outputs].
    ///
    /// - Precondition: the bias has one number for each output.
    public init(_ name: String, weight: Parameter, bias: Parameter?, product: any LinearProduct = FloatProduct()) {
        trapUnless(bias.map { $0.value.count == weight.value.rows } ?? true, "bias of \(name): expected \(weight.value.rows) numbers")
        (self.name, self.weight, self.bias, self.product) = (name, weight, bias, product)
    }

    public func outputShape(for input: SampleShape) throws(CompressionError) -> SampleShape {
        guard input.count == inputs else {
            throw .shapeMismatch(what: "inputs of layer \(name)", expected: "\(inputs)", found: "\(input.count) (\(input))")
        }
        return SampleShape(outputs)
    }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        self.input = input
        output.reshape(rows: input.rows, columns: outputs)
        product.forward(input, weight: weight, bias: bias, output: output, context: context)
        return output
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        guard let input else { trap("layer \(name): expected a forward pass before the backward pass") }
        if needsInputGradient { inputGradient.reshape(rows: input.rows, columns: inputs) }
        product.backward(
            outputGradient, input: input, weight: weight, bias: bias, inputGradient: needsInputGradient ? inputGradient : nil, context: context)
        return needsInputGradient ? inputGradient : nil
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) throws -> [any CompactNumerics.Layer] {
        [try choose(self, linear())]
    }

    public func copy() -> any TrainableLayer {
        DenseLayer(name, weight: weight.copy(), bias: bias?.copy(), product: product.copy())
    }
}
