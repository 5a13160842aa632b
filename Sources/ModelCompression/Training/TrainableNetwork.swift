public import CompactNumerics
internal import CKernels
internal import CTraining

/// Layers one after the other, with backward pass and gradients. What training, pruning and quantization work on; `deployed` gives the
/// network that an app runs.
public final class TrainableNetwork {
    /// The shape of one sample.
    public let inputShape: SampleShape
    public let layers: [any TrainableLayer]
    /// The shape behind each layer.
    public let shapes: [SampleShape]
    /// Called in the backward pass, from the last layer to the first, with the index of a layer and the gradient of the loss with
    /// respect to its outputs [batch, outputs], before the layer gets it.
    public var gradientObserver: ((Int, Tensor) -> Void)?
    private let roundedInput = Tensor()
    private var outputs: [Tensor] = []

    /// A network of the given layers, of which each takes what the one before gives.
    ///
    /// - Throws: `CompressionError.shapeMismatch` where shapes do not fit, `.outOfRange` for a name of a layer or parameter that occurs
    ///   twice, or no layer at all.
    public init(inputShape: SampleShape, layers: [any TrainableLayer]) throws(CompressionError) {
        guard !layers.isEmpty else { throw .outOfRange(what: "layers of a network", allowed: "at least 1", found: "0") }
        guard min(inputShape.height, inputShape.width, inputShape.channels) > 0, inputShape.count < 1 << 48 else {
            throw .outOfRange(what: "shape of a sample", allowed: "at least 1×1×1, fewer than 2⁴⁸ numbers", found: "\(inputShape)")
        }
        var shape = inputShape
        var shapes: [SampleShape] = []
        for layer in layers {
            shape = try layer.outputShape(for: shape)
            shapes.append(shape)
        }
        var names = Set<String>()
        let stored = layers.flatMap { layer in layer.parameters.map(\.name) + layer.statistics.map(\.name) }
        if let twice = (layers.map(\.name) + stored).first(where: { !names.insert($0).inserted }) {
            throw .outOfRange(what: "names of layers and parameters", allowed: "each name once", found: "\(twice) twice")
        }
        (self.inputShape, self.layers, self.shapes) = (inputShape, layers, shapes)
    }

    /// Parameters in the order of layers.
    public var parameters: [Parameter] { layers.flatMap(\.parameters) }
    /// Layers with a weight matrix, in order.
    public var weightedLayers: [any WeightedLayer] { layers.compactMap { $0 as? any WeightedLayer } }
    /// Numbers that training changes.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.value.count } }
    /// Numbers of one output row.
    public var outputCount: Int { shapes[shapes.count - 1].count }

    /// What has to be equal for weights to be exchanged: shapes, kinds and options of layers, names and shapes of parameters.
    public var fingerprint: String {
        let parts = layers.map { layer in
            let parameters = layer.parameters.map { "\($0.name) \($0.value.rows)×\($0.value.columns)" }.joined(separator: ", ")
            return "\(layer.name): \(layer.summary) [\(parameters)]"
        }
        return ([inputShape.description] + parts).joined(separator: "; ")
    }

    /// A network of its own with the same numbers and masks.
    public func copy() -> TrainableNetwork {
        do {
            return try TrainableNetwork(inputShape: inputShape, layers: layers.map { $0.copy() })
        } catch {
            trap("copy of a network: \(error)")
        }
    }

    /// The outputs [batch, outputs] of `input` [batch, inputs]; input and each layer's outputs are rounded to the context's arithmetic.
    /// The tensor belongs to the last layer, or to the one at index `last`, behind which nothing is computed.
    ///
    /// - Precondition: `input` has as many columns as a sample has numbers; it keeps its contents until `backward` has been called.
    public func forward(_ input: Tensor, context: TrainingContext, through last: Int? = nil) -> Tensor {
        trapUnless(input.columns == inputShape.count, "input of a network: expected \(inputShape.count) columns, found \(input.columns)")
        var activations = input
        if context.arithmetic != .float32, !layers[0].takesUnroundedInputs {
            roundedInput.reshape(rows: input.rows, columns: input.columns)
            context.arithmetic.round(from: input.pointer, to: roundedInput.pointer, count: input.count)
            activations = roundedInput
        }
        outputs.removeAll(keepingCapacity: true)
        for layer in layers[...(last ?? layers.count - 1)] {
            let output = layer.forward(activations, context: context)
            if output !== activations { context.arithmetic.round(output) }
            activations = output
            outputs.append(output)
        }
        return activations
    }

    /// The outputs [batch, outputs] of the layer at `index` in the last forward pass; a layer that rounds or drops nothing may give the
    /// tensor of the one before.
    ///
    /// - Precondition: the last forward pass reached the layer.
    public func output(ofLayer index: Int) -> Tensor {
        trapUnless(outputs.indices.contains(index), "output of layer \(index): expected a forward pass through it, found \(outputs.count) layers")
        return outputs[index]
    }

    /// The name of the first layer whose outputs of the last forward pass are not all finite.
    internal var firstNonFiniteOutput: String? {
        zip(layers, outputs).first { ck_first_not_finite_f32($1.pointer, $1.count) < $1.count }?.0.name
    }

    /// Computes the gradients of all parameters from that of the outputs of the last forward pass; all of them, and those passed from
    /// layer to layer, are rounded to the context's arithmetic. `hidden` holds gradients with respect to outputs of single layers, by
    /// index, which are rounded, added where the backward pass meets them, and left as they were. `outputGradient` is changed.
    public func backward(
        _ outputGradient: Tensor, hidden: [(layer: Int, gradient: Tensor)] = [], context: TrainingContext
    ) {
        let first = layers.firstIndex { !$0.parameters.isEmpty } ?? layers.count
        var gradient = outputGradient
        context.arithmetic.round(gradient)
        for index in stride(from: layers.count - 1, through: first, by: -1) {
            for (layer, extra) in hidden where layer == index { add(extra, to: gradient, context.arithmetic) }
            gradientObserver?(index, gradient)
            let layer = layers[index]
            let passed = layer.backward(gradient, needsInputGradient: index > first, context: context)
            if context.arithmetic != .float32 {
                for parameter in layer.parameters { context.arithmetic.round(parameter.gradient) }
                if let passed { context.arithmetic.round(passed) }
            }
            guard let passed else { return }
            gradient = passed
        }
    }

    private func add(_ extra: Tensor, to gradient: Tensor, _ arithmetic: Arithmetic) {
        trapUnless(
            (extra.rows, extra.columns) == (gradient.rows, gradient.columns),
            "gradient of a hidden layer: expected \(gradient.rows)×\(gradient.columns), found \(extra.rows)×\(extra.columns)")
        if arithmetic == .float32 {
            ck_add_f32(gradient.pointer, extra.pointer, gradient.count)
        } else {
            let rounded = extra.copy()
            arithmetic.round(rounded)
            ck_add_f32(gradient.pointer, rounded.pointer, gradient.count)
            arithmetic.round(gradient)
        }
    }

    /// The outputs of the network without training, [samples, outputs].
    ///
    /// - Precondition: `inputs` has as many columns as a sample has numbers.
    public func predict(_ inputs: Matrix, arithmetic: Arithmetic = .float32, parallelism: Parallelism = .serial) -> Matrix {
        forward(Tensor(inputs), context: TrainingContext(arithmetic: arithmetic, parallelism: parallelism)).matrix
    }

    /// The network with the layers that `choose` gives for weighted ones, by default float32 ones. Users go through `Deployment`.
    ///
    /// - Throws: what `choose` throws; `NumericsError` if layers do not fit together.
    package func deployed(
        _ choose: (any WeightedLayer, Linear) throws -> any LinearLayer = { _, linear in linear }
    ) throws -> Sequential {
        let deployed = try layers.flatMap { layer in
            try layer.deployed(choose).enumerated().map { (name: $0 == 0 ? layer.name : "\(layer.name).\($0)", layer: $1) }
        }
        return try Sequential(deployed.map(\.layer), names: deployed.map(\.name))
    }
}
