public import CompactNumerics
internal import CBLAS
internal import CTraining

/// How a layer with a weight matrix computes Y[M, N] = X[M, K] · W[N, K]ᵀ + b[N] and its gradients. Another product makes the same layer
/// train for another deployment: quantization-aware training multiplies by fake-quantized weights.
///
/// M is the batch for `DenseLayer`, and all windows of the batch for `Conv2DLayer`. One product belongs to one layer, so it may keep
/// what its backward pass needs.
public protocol LinearProduct: AnyObject {
    /// What training changes besides weight and bias, such as learned scales.
    var parameters: [Parameter] { get }

    /// Computes `output`, which has its shape already.
    func forward(_ input: Tensor, weight: Parameter, bias: Parameter?, output: Tensor, context: TrainingContext)

    /// Overwrites the gradients of weight, bias and `parameters`, and `inputGradient` where it is given (it has its shape already).
    /// `input` holds what it held in the last forward pass.
    func backward(
        _ outputGradient: Tensor, input: Tensor, weight: Parameter, bias: Parameter?, inputGradient: Tensor?, context: TrainingContext)

    /// A product for a copy of the layer, with parameters of its own.
    func copy() -> any LinearProduct
}

/// The plain product by the system's BLAS; in reduced arithmetic it multiplies by a rounded copy of the weights and bias.
public final class FloatProduct: LinearProduct {
    private let rounded = Tensor()
    private let roundedBias = Tensor()

    public init() {}
    public var parameters: [Parameter] { [] }
    public func copy() -> any LinearProduct { FloatProduct() }

    public func forward(_ input: Tensor, weight: Parameter, bias: Parameter?, output: Tensor, context: TrainingContext) {
        let factor = Self.rounded(weight.value, into: rounded, context.arithmetic)
        let offset = bias.map { Self.rounded($0.value, into: roundedBias, context.arithmetic) }
        Self.multiply(input, factor, bias: offset, into: output, context.parallelism)
    }

    public func backward(
        _ outputGradient: Tensor, input: Tensor, weight: Parameter, bias: Parameter?, inputGradient: Tensor?, context: TrainingContext
    ) {
        let factor = context.arithmetic == .float32 ? weight.value : rounded
        Self.weightGradients(outputGradient, input: input, weight: weight, bias: bias, context.parallelism)
        if let inputGradient { Self.inputGradient(outputGradient, factor, into: inputGradient, context.parallelism) }
    }

    private static func rounded(_ value: Tensor, into copy: Tensor, _ arithmetic: Arithmetic) -> Tensor {
        if arithmetic == .float32 { return value }
        copy.reshape(rows: value.rows, columns: value.columns)
        arithmetic.round(from: value.pointer, to: copy.pointer, count: value.count)
        return copy
    }

    // MARK: - Parts that other products share

    /// Y[M, N] = X[M, K] · W[N, K]ᵀ + b[N].
    public static func multiply(_ x: Tensor, _ w: Tensor, bias: Tensor?, into y: Tensor, _ parallelism: Parallelism) {
        requireShapes(x, w, y)
        BLASLibrary.use(parallelism)
        let (m, n, k) = (Int32(x.rows), Int32(w.rows), Int32(w.columns))
        // Rows of Y begin as the bias, so that adding it costs no pass of its own.
        if let bias { ck_fill_rows_f32(bias.pointer, y.rows, y.columns, y.pointer) }
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x.pointer, max(k, 1), w.pointer, max(k, 1), bias == nil ? 0 : 1, y.pointer, max(n, 1))
    }

    /// dW[N, K] = dY[M, N]ᵀ · X[M, K] and db[N] = Σ dY over M, into the gradients of `weight` and `bias`.
    public static func weightGradients(_ dy: Tensor, input x: Tensor, weight: Parameter, bias: Parameter?, _ parallelism: Parallelism) {
        requireShapes(x, weight.value, dy)
        BLASLibrary.use(parallelism)
        let (m, n, k) = (Int32(x.rows), Int32(dy.columns), Int32(x.columns))
        cblas_sgemm(
            CblasRowMajor, CblasTrans, CblasNoTrans, n, k, m, 1, dy.pointer, max(n, 1), x.pointer, max(k, 1), 0, weight.gradient.pointer, max(k, 1))
        if let bias {
            bias.gradient.fill(0)
            ck_add_column_sums_f32(dy.pointer, dy.rows, dy.columns, bias.gradient.pointer)
        }
    }

    /// dX[M, K] = dY[M, N] · W[N, K].
    public static func inputGradient(_ dy: Tensor, _ w: Tensor, into dx: Tensor, _ parallelism: Parallelism) {
        requireShapes(dx, w, dy)
        BLASLibrary.use(parallelism)
        let (m, n, k) = (Int32(dy.rows), Int32(dy.columns), Int32(w.columns))
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, m, k, n, 1, dy.pointer, max(n, 1), w.pointer, max(k, 1), 0, dx.pointer, max(k, 1))
    }

    private static func requireShapes(_ x: Tensor, _ w: Tensor, _ y: Tensor) {
        precondition(
            x.columns == w.columns && y.columns == w.rows && x.rows == y.rows,
            "product: expected \(x.rows)×\(x.columns) · (\(y.columns)×\(x.columns))ᵀ = \(x.rows)×\(y.columns), found weights "
                + "\(w.rows)×\(w.columns) and outputs \(y.rows)×\(y.columns)")
    }
}
