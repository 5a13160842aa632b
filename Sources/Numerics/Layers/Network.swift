/// A linear layer of a network, with the name it has there.
public struct NamedLinearLayer: Sendable {
    /// Unique within its network: "fc1", "encoder.3.attention.query".
    public let name: String
    public let layer: any LinearLayer
    /// The windows whose patches are the rows that `layer` multiplies, where it is that of a convolution.
    public let windows: ImageWindows?

    public init(name: String, layer: any LinearLayer, windows: ImageWindows? = nil) {
        (self.name, self.layer, self.windows) = (name, layer, windows)
    }
}

/// A network of any shape, as quantizing, pruning, calibrating, compiling and files see it: named linear layers, which can be replaced.
///
///     struct Perceptron: Network {
///         var hidden, output: any LinearLayer
///         var linearLayers: [NamedLinearLayer] {
///             [NamedLinearLayer(name: "hidden", layer: hidden), NamedLinearLayer(name: "output", layer: output)]
///         }
///         func replacingLinearLayers(_ replace: (NamedLinearLayer) throws -> any LinearLayer) rethrows -> Perceptron {
///             let layers = try linearLayers.map(replace)
///             return Perceptron(hidden: layers[0], output: layers[1])
///         }
///     }
public protocol Network: Sendable {
    /// All linear layers, those of convolutions included, each once, in a fixed order.
    var linearLayers: [NamedLinearLayer] { get }

    /// The same network with what `replace` gives for each linear layer, asked for in the order of `linearLayers`. Replacements have the inputs
    /// and outputs of what they replace.
    func replacingLinearLayers(_ replace: (NamedLinearLayer) throws -> any LinearLayer) throws -> Self
}

extension Network {
    /// The linear layer of that name, nil if there is none.
    public func linearLayer(named name: String) -> (any LinearLayer)? {
        linearLayers.first { $0.name == name }?.layer
    }

    /// The network with those float32 layers that `filter` accepts in another format; other layers stay as they are.
    ///
    /// - Parameters:
    ///   - rows: the rows of activations, M, that a product will usually have.
    ///   - filter: by name; all layers unless given.
    /// - Throws: the errors of `WeightFormat.layer(_:rows:)`.
    public func converted(to format: WeightFormat, rows: Int = 64, where filter: (String) -> Bool = { _ in true }) throws -> Self {
        try replacingLinearLayers { named in
            guard let linear = named.layer as? Linear, filter(named.name) else { return named.layer }
            return try format.layer(linear, rows: rows)
        }
    }

    /// Calls `run` with a network that shows the inputs of its linear layers to `observe`, as they come: the name of the layer and X [M, inputs].
    /// Outputs are those of this network.
    ///
    /// - Throws: what `run` throws.
    public func observingInputs(
        _ observe: @escaping @Sendable (String, Matrix) -> Void, while run: (Self) throws -> Void
    ) throws {
        try run(replacingLinearLayers { ObservedLinear(layer: $0.layer, name: $0.name, observe: observe) })
    }
}

/// Another linear layer that shows its inputs.
private struct ObservedLinear: LinearLayer {
    var layer: any LinearLayer
    let name: String
    let observe: @Sendable (String, Matrix) -> Void

    var inputs: Int { layer.inputs }
    var outputs: Int { layer.outputs }
    var bias: [Float]? { layer.bias }
    var byteCount: Int { layer.byteCount }
    var activation: Activation {
        get { layer.activation }
        set { layer.activation = newValue }
    }
    func denseWeight() -> Matrix { layer.denseWeight() }

    func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        observe(name, input)
        layer.apply(input, into: &output, workspace: &workspace, parallelism: parallelism)
    }
}
