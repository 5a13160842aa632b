/// A linear layer with FP16 or BF16 weights and float32 activations and sums, Y = X · Wᵀ + b.
public struct HalfLinear: LinearLayer {
    /// W [outputs, inputs], packed.
    public let weight: HalfMatrix
    public let bias: [Float]?
    public var activation: Activation

    public var inputs: Int { weight.columns }
    public var outputs: Int { weight.rows }
    public var byteCount: Int { weight.byteCount + biasByteCount }
    public func denseWeight() -> Matrix { weight.widened() }

    /// Rounds the weights of another layer.
    public init(_ other: some LinearLayer, format: HalfMatrix.Format) {
        weight = HalfMatrix(other.denseWeight(), format: format)
        bias = other.bias
        activation = other.activation
    }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        guard output.count > 0 else { return }
        input.withUnsafeBufferPointer { x in
            output.withUnsafeMutableBufferPointer { y in
                withBias { bias in
                    weight.multiply(
                        x.baseAddress!, rows: input.rows, into: y.baseAddress!, bias: bias, relu: activation == .relu,
                        workspace: &workspace, parallelism: parallelism)
                }
            }
        }
    }
}
