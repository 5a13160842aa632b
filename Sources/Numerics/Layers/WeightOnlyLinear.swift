internal import CBLAS
internal import CKernels

/// A linear layer whose weights are stored as integers and whose activations stay float32: weights are widened 64 outputs at a time and
/// multiplied by the system's BLAS. It saves bytes, not time.
public struct WeightOnlyLinear: LinearLayer {
    /// W [outputs, inputs], packed. How its scheme quantizes activations does not matter here.
    public let weight: QuantizedMatrix
    public let bias: [Float]?
    public var activation: Activation
    private static let outputsAtOnce = 64

    public var inputs: Int { weight.columns }
    public var outputs: Int { weight.rows }
    public var byteCount: Int { weight.byteCount + biasByteCount }
    public func denseWeight() -> Matrix { weight.dequantized() }

    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output.
    public init(weight: QuantizedMatrix, bias: [Float]? = nil, activation: Activation = .none) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        (self.weight, self.bias, self.activation) = (weight, bias, activation)
    }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        let (m, k) = (input.rows, inputs), block = min(Self.outputsAtOnce, outputs)
        guard m > 0 else { return }
        let wide = workspace.reserve(byteCount: block * k * MemoryLayout<Float>.stride).bindMemory(to: Float.self, capacity: block * k)
        BLASLibrary.use(parallelism)
        output.withUnsafeMutableBufferPointer { y in
            input.withUnsafeBufferPointer { x in
                for first in stride(from: 0, to: outputs, by: block) {
                    let count = min(block, outputs - first)
                    weight.dequantize(rows: first..<first + count, into: wide)
                    cblas_sgemm(
                        CblasRowMajor, CblasNoTrans, CblasTrans, Int32(m), Int32(count), Int32(k), 1, x.baseAddress!, Int32(k), wide, Int32(k), 0,
                        y.baseAddress! + first, Int32(outputs))
                }
                withBias { bias in if let bias { ck_add_bias_f32(y.baseAddress!, m, outputs, bias) } }
                if activation == .relu { ck_relu_f32(y.baseAddress!, y.count) }
            }
        }
    }
}
