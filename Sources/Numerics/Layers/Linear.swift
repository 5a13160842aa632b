internal import CKernels

/// A float32 linear layer, Y = X · Wᵀ + b, by the system's BLAS.
public struct Linear: LinearLayer {
    /// W [outputs, inputs].
    public let weight: Matrix
    public let bias: [Float]?
    public var activation: Activation

    public var inputs: Int { weight.columns }
    public var outputs: Int { weight.rows }
    public var byteCount: Int { weight.count * MemoryLayout<Float>.stride + biasByteCount }
    public func denseWeight() -> Matrix { weight }

    /// A layer of the given weights [outputs, inputs].
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output.
    public init(weight: Matrix, bias: [Float]? = nil, activation: Activation = .none) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        self.weight = weight
        self.bias = bias
        self.activation = activation
    }

    /// The float32 layer with the weights that `other` stands for.
    public init(_ other: some LinearLayer) {
        weight = other.denseWeight()
        bias = other.bias
        activation = other.activation
    }

    public var layoutSupport: LayoutSupport { .any }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        apply(input, layout: .rowMajor, into: &output, layout: .rowMajor, workspace: &workspace, parallelism: parallelism)
    }

    public func apply(
        _ input: Matrix, layout inputLayout: ActivationLayout, into output: inout Matrix, layout outputLayout: ActivationLayout,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        requireShapes(input, inputLayout, output, outputLayout)
        guard output.count > 0 else { return }
        let (m, n) = (input.batch(inputLayout), outputs)
        let product = FloatProduct(rows: m, inputs: inputs, outputs: n, parallelism: parallelism)
        output.withUnsafeMutableBufferPointer { y in
            let y = y.baseAddress!
            input.withUnsafeBufferPointer { x in
                weight.withUnsafeBufferPointer { w in
                    product.multiply(x.baseAddress!, layout: inputLayout, by: w.baseAddress!, into: y, layout: outputLayout)
                }
            }
            withBias { bias in
                guard let bias else { return }
                if outputLayout == .rowMajor { ck_add_bias_f32(y, m, n, bias) } else { ck_add_row_bias_f32(y, n, m, bias) }
            }
            if activation == .relu { ck_relu_f32(y, m * n) }
        }
    }
}

extension Linear: CodableLayer {
    public static let kind = "linear"

    public func encode(into archive: inout some TensorArchiveWriter) {
        archive.put(shapeOf: self)
        archive.put(weight, named: "weight")
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        let fields = try archive.linearFields()
        try self.init(
            weight: archive.matrix(named: "weight", rows: fields.outputs, columns: fields.inputs), bias: fields.bias, activation: fields.activation)
    }
}
