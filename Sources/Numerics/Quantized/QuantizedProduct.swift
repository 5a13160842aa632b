internal import CKernels

/// How activations get their codes.
public enum ActivationQuantization: Sendable, Hashable {
    /// Scale and zero point from the range of each row.
    case dynamic
    /// The same for every row: code = clamp(rint(x / scale) + zeroPoint).
    case fixed(scale: Float, zeroPoint: Int)
}

/// What a product writes besides float32: codes = clamp(rint(y / scale) + zeroPoint).
package struct OutputQuantization: Sendable {
    package var scale: Float
    package var zeroPoint: Int32
    package var isSigned: Bool

    package init(scale: Float, zeroPoint: Int32, isSigned: Bool) {
        (self.scale, self.zeroPoint, self.isSigned) = (scale, zeroPoint, isSigned)
    }
}

extension QuantizedMatrix {
    /// Y[M, N] = relu(X[M, K] · Wᵀ + bias): quantizes X, multiplies integers, and writes float32 or codes. `x` and `y` are row-major without gaps.
    package func multiply(
        _ x: UnsafePointer<Float>, rows m: Int, into y: UnsafeMutableRawPointer, bias: UnsafePointer<Float>?, relu: Bool,
        activations: ActivationQuantization = .dynamic, output: OutputQuantization? = nil, workspace: inout Workspace,
        parallelism: Parallelism
    ) {
        guard m > 0 else { return }
        let target = ck_gemm_output(
            type: output.map { $0.isSigned ? ck_output_s8 : ck_output_u8 } ?? ck_output_f32, data: y, stride: rows, bias: bias,
            relu: relu ? 1 : 0, inverse_scale: output.map { 1 / $0.scale } ?? 0, zero_point: output?.zeroPoint ?? 0)
        packed.multiply(
            ProductInput(data: x, rows: m, activations: activations, highest: scheme.activations.highest), into: target, workspace: &workspace,
            parallelism: parallelism.suited(toMultiplyAdds: m * rows * columns))
    }
}
