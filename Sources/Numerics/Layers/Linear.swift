internal import CBLAS
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

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        guard output.count > 0 else { return }
        let (m, k, n) = (input.rows, inputs, outputs)
        BLASLibrary.use(parallelism)
        output.withUnsafeMutableBufferPointer { y in
            let y = y.baseAddress!
            input.withUnsafeBufferPointer { x in
                weight.withUnsafeBufferPointer { w in
                    Self.multiply(x.baseAddress!, w.baseAddress!, y, m: m, k: k, n: n)
                }
            }
            withBias { bias in
                if let bias { ck_add_bias_f32(y, m, n, bias) }
            }
            if activation == .relu { ck_relu_f32(y, m * n) }
        }
    }

    /// Y[M, N] = X[M, K] · W[N, K]ᵀ by sgemm, or sgemv for one row, which is what it is for.
    package static func multiply(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, m: Int, k: Int, n: Int
    ) {
        let (rows, inputs, outputs) = (Int32(m), Int32(k), Int32(n))
        if m == 1 {
            cblas_sgemv(CblasRowMajor, CblasNoTrans, outputs, inputs, 1, w, inputs, x, 1, 0, y, 1)
        } else {
            cblas_sgemm(
                CblasRowMajor, CblasNoTrans, CblasTrans, rows, outputs, inputs, 1, x, inputs, w, inputs, 0, y, outputs)
        }
    }
}
