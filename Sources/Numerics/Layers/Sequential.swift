internal import CKernels

/// max(x, 0) of every element. After a linear layer, that layer's `activation` saves a pass over memory.
public struct ReLU: Layer {
    public init() {}

    public var inputCount: Int? { nil }
    public func outputCount(inputs: Int) -> Int { inputs }
    public var byteCount: Int { 0 }

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
}

/// Layers one after the other: the outputs of each are the inputs of the next.
public struct Sequential: Layer {
    public let layers: [any Layer]

    /// A network of the given layers. A ReLU that follows a linear layer or convolution becomes part of it.
    ///
    /// - Throws: `NumericsError.shapeMismatch` where a layer has another number of inputs than the one before has outputs.
    public init(_ layers: [any Layer]) throws(NumericsError) {
        var width: Int?
        for (index, layer) in layers.enumerated() {
            if let width, let expected = layer.inputCount, width != expected {
                throw .shapeMismatch(what: "inputs of layer \(index)", expected: "\(width), the outputs of the layer before", found: "\(expected)")
            }
            width = (width ?? layer.inputCount).map(layer.outputCount)
        }
        self.layers = Self.fused(layers)
    }

    private static func fused(_ layers: [any Layer]) -> [any Layer] {
        layers.reduce(into: []) { fused, layer in
            if layer is ReLU, var linear = fused.last as? any LinearLayer {
                linear.activation = .relu
                fused[fused.count - 1] = linear
            } else if layer is ReLU, var convolution = fused.last as? Convolution {
                convolution.linear.activation = .relu
                fused[fused.count - 1] = convolution
            } else {
                fused.append(layer)
            }
        }
    }

    public var inputCount: Int? { layers.lazy.compactMap(\.inputCount).first }
    public func outputCount(inputs: Int) -> Int { layers.reduce(inputs) { $1.outputCount(inputs: $0) } }
    public var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        guard let last = layers.last else {
            output = input
            return
        }
        // Hidden activations are kept in the workspace, taken out while they are in use so that they are not copied.
        var hidden = workspace.hidden
        workspace.hidden = []
        while hidden.count < layers.count - 1 { hidden.append(Matrix(rows: 0, columns: 0)) }
        for (index, layer) in layers.dropLast().enumerated() {
            let width = layer.outputCount(inputs: index == 0 ? input.columns : hidden[index - 1].columns)
            if hidden[index].rows != input.rows || hidden[index].columns != width {
                hidden[index] = Matrix(rows: input.rows, columns: width)
            }
            let source = index == 0 ? input : hidden[index - 1]
            layer.apply(source, into: &hidden[index], workspace: &workspace, parallelism: parallelism)
        }
        last.apply(layers.count == 1 ? input : hidden[layers.count - 2], into: &output, workspace: &workspace, parallelism: parallelism)
        workspace.hidden = hidden
    }
}
