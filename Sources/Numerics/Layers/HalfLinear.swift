internal import CKernels

/// A linear layer with FP16 or BF16 weights and float32 sums, Y = X · Wᵀ + b. Activations are float32, or rounded to BF16 (`bf16a16`).
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
    ///
    /// - Throws: the errors of `HalfMatrix.init(_:format:overflow:)`.
    public init(_ other: some LinearLayer, format: HalfMatrix.Format, overflow: HalfMatrix.Overflow = .refused) throws(NumericsError) {
        weight = try HalfMatrix(other.denseWeight(), format: format, overflow: overflow)
        bias = other.bias
        activation = other.activation
    }

    /// A layer of weights that are rounded already.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output.
    public init(weight: HalfMatrix, bias: [Float]? = nil, activation: Activation = .none) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        (self.weight, self.bias, self.activation) = (weight, bias, activation)
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

extension HalfLinear: CodableLayer {
    public static let kind = "half"

    public func encode(into archive: inout some TensorArchiveWriter) {
        archive.put(shapeOf: self)
        archive.put(weight.format.rawValue, named: "format")
        archive.put(patterns: weight.patterns(), named: "weight")
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        let fields = try archive.linearFields(), format = try archive.choice(HalfMatrix.Format.self, named: "format")
        let patterns = try archive.patterns(named: "weight")
        try archive.charge(PackedWeights.mostBytes(HalfMatrix.config(format), inputs: fields.inputs, outputs: fields.outputs, group: 0))
        try self.init(
            weight: HalfMatrix(rows: fields.outputs, columns: fields.inputs, format: format, patterns: patterns), bias: fields.bias,
            activation: fields.activation)
    }
}
