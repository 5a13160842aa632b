internal import CKernels

/// max(x, 0) of every element. After a linear layer, that layer's `activation` saves a pass over memory.
public struct ReLU: Layer {
    public init() {}

    public var inputCount: Int? { nil }
    public func outputCount(inputs: Int) -> Int { inputs }
    public var byteCount: Int { 0 }

    public var layoutSupport: LayoutSupport { .unchanged }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        output.withUnsafeMutableBufferPointer { y in
            input.withUnsafeBufferPointer { x in
                guard let from = x.baseAddress, let to = y.baseAddress else { return }
                to.update(from: from, count: x.count)
                ck_relu_f32(to, x.count)
            }
        }
    }

    public func apply(
        _ input: Matrix, layout inputLayout: ActivationLayout, into output: inout Matrix, layout outputLayout: ActivationLayout,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        let source = inputLayout == outputLayout ? input : input.transposed()
        apply(source, into: &output, workspace: &workspace, parallelism: parallelism)
    }
}

extension ReLU: CodableLayer {
    public static let kind = "relu"

    public func encode(into archive: inout some TensorArchiveWriter) {}
    public init(from archive: some TensorArchiveReader) throws(NumericsError) {}
}

/// Layers one after the other: the outputs of each are the inputs of the next.
///
/// Input and output are row-major. Between the layers, activations have the layout that suits them best: sparse layers compute
/// on feature-major ones, so those that follow one another, also with a ReLU or a float32 layer in between, keep that layout
/// and nothing is transposed; those that follow one another directly are computed some rows at a time, which stay in the
/// cache. Sparse, quantized and half layers give the same bits as one by one; a float32 layer those that the system's BLAS has for that layout.
public struct Sequential: Layer {
    public let layers: [any Layer]
    /// A name for each layer, unique.
    public let names: [String]
    // Before, between and after the layers, for more than one row.
    private let layouts: [ActivationLayout]
    // What is computed: the layers, sparse ones in sequence as one; and the place of each among the layers.
    private let steps: [(first: Int, layer: any Layer)]

    /// A network of the given layers. A ReLU that follows a linear layer or convolution becomes part of it, and so do the layers of a
    /// `Sequential`.
    ///
    /// - Parameter names: one for each of `layers`; by default their places, "0", "1", … Those of a `Sequential` inside get its name and a
    ///   full stop in front.
    /// - Throws: `NumericsError.shapeMismatch` where a layer has another number of inputs than the one before has outputs, or unless there are
    ///   as many names as layers; `.invalidStructure` for a name that occurs twice.
    public init(_ layers: [any Layer], names: [String]? = nil) throws(NumericsError) {
        let names = names ?? layers.indices.map(String.init)
        guard names.count == layers.count else {
            throw .shapeMismatch(what: "names of layers", expected: "\(layers.count)", found: "\(names.count)")
        }
        var width: Int?
        for (index, layer) in layers.enumerated() {
            if let width, let expected = layer.inputCount, width != expected {
                throw .shapeMismatch(what: "inputs of layer \(index)", expected: "\(width), the outputs of the layer before", found: "\(expected)")
            }
            width = (width ?? layer.inputCount).map(layer.outputCount)
        }
        let fused = Self.fused(Self.flattened(layers, names))
        (self.layers, self.names) = (fused.map(\.layer), fused.map(\.name))
        var known = Set<String>()
        for name in self.names where !known.insert(name).inserted {
            throw .invalidStructure(what: "names of layers", expected: "each name once", found: "\(name) again")
        }
        layouts = cheapestLayouts(self.layers.map(\.layoutSupport))
        steps = Self.chained(self.layers)
    }

    private static func flattened(_ layers: [any Layer], _ names: [String]) -> [(name: String, layer: any Layer)] {
        zip(names, layers).flatMap { name, layer -> [(name: String, layer: any Layer)] in
            guard let inner = layer as? Sequential else { return [(name, layer)] }
            return zip(inner.names, inner.layers).map { ("\(name).\($0)", $1) }
        }
    }

    private static func chained(_ layers: [any Layer]) -> [(first: Int, layer: any Layer)] {
        layers.enumerated().reduce(into: []) { steps, next in
            let (index, layer) = next
            if let sparse = layer as? SparseLinear, let chain = steps.last?.layer as? SparseChain {
                steps[steps.count - 1].layer = SparseChain(layers: chain.layers + [sparse])
            } else {
                steps.append((index, (layer as? SparseLinear).map { SparseChain(layers: [$0]) } ?? layer))
            }
        }
    }

    /// The layouts of the input, the activations between the layers and the output, for activations of `rows` rows; of one row
    /// there is but one layout.
    package func layouts(rows: Int) -> [ActivationLayout] {
        rows > 1 ? layouts : Array(repeating: .rowMajor, count: layouts.count)
    }

    private static func fused(_ layers: [(name: String, layer: any Layer)]) -> [(name: String, layer: any Layer)] {
        layers.reduce(into: []) { fused, next in
            let last = fused.count - 1
            if next.layer is ReLU, var linear = fused.last?.layer as? any LinearLayer {
                linear.activation = .relu
                fused[last].layer = linear
            } else if next.layer is ReLU, var convolution = fused.last?.layer as? Convolution {
                convolution.linear.activation = .relu
                fused[last].layer = convolution
            } else {
                fused.append(next)
            }
        }
    }

    public var inputCount: Int? { layers.lazy.compactMap(\.inputCount).first }
    public func outputCount(inputs: Int) -> Int { layers.reduce(inputs) { $1.outputCount(inputs: $0) } }
    public var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        guard let last = steps.last else {
            output = input
            return
        }
        let layouts = layouts(rows: input.rows)
        // Hidden activations are kept in the workspace, taken out while they are in use so that they are not copied.
        var hidden = workspace.hidden
        workspace.hidden = []
        while hidden.count < steps.count - 1 { hidden.append(Matrix(rows: 0, columns: 0)) }
        for (index, step) in steps.dropLast().enumerated() {
            let source = index == 0 ? input : hidden[index - 1], (from, to) = (layouts[step.first], layouts[steps[index + 1].first])
            let width = step.layer.outputCount(inputs: source.features(from))
            if hidden[index].batch(to) != input.rows || hidden[index].features(to) != width {
                hidden[index] = Matrix(batch: input.rows, features: width, layout: to)
            }
            step.layer.apply(source, layout: from, into: &hidden[index], layout: to, workspace: &workspace, parallelism: parallelism)
        }
        let source = steps.count == 1 ? input : hidden[steps.count - 2], from = layouts[last.first]
        last.layer.apply(source, layout: from, into: &output, layout: .rowMajor, workspace: &workspace, parallelism: parallelism)
        workspace.hidden = hidden
    }
}

extension Sequential: Network {
    public var linearLayers: [NamedLinearLayer] {
        zip(names, layers).compactMap { name, layer in
            if let convolution = layer as? Convolution {
                return NamedLinearLayer(name: name, layer: convolution.linear, windows: convolution.windows)
            }
            return (layer as? any LinearLayer).map { NamedLinearLayer(name: name, layer: $0) }
        }
    }

    public func replacingLinearLayers(_ replace: (NamedLinearLayer) throws -> any LinearLayer) throws -> Sequential {
        let replaced = try zip(names, layers).map { name, layer -> any Layer in
            if let convolution = layer as? Convolution {
                let linear = NamedLinearLayer(name: name, layer: convolution.linear, windows: convolution.windows)
                return try Convolution(windows: convolution.windows, linear: replace(linear))
            }
            return try (layer as? any LinearLayer).map { try replace(NamedLinearLayer(name: name, layer: $0)) } ?? layer
        }
        return try Sequential(replaced, names: names)
    }
}
