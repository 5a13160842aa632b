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
        let (factor, offset) = operands(weight, bias, context.arithmetic)
        Self.multiply(input, factor, bias: offset, into: output, context.parallelism)
    }

    /// Weights and bias as they are multiplied: rounded to `arithmetic`.
    internal func operands(_ weight: Parameter, _ bias: Parameter?, _ arithmetic: Arithmetic) -> (weight: Tensor, bias: Tensor?) {
        (Self.rounded(weight.value, into: rounded, arithmetic), bias.map { Self.rounded($0.value, into: roundedBias, arithmetic) })
    }

    public func backward(
        _ outputGradient: Tensor, input: Tensor, weight: Parameter, bias: Parameter?, inputGradient: Tensor?, context: TrainingContext
    ) {
        let factor = lastWeight(weight, context.arithmetic)
        Self.weightGradients(outputGradient, input: input, weight: weight, bias: bias, context.parallelism)
        if let inputGradient { Self.inputGradient(outputGradient, factor, into: inputGradient, context.parallelism) }
    }

    /// The weights of the last forward pass, as they were multiplied.
    internal func lastWeight(_ weight: Parameter, _ arithmetic: Arithmetic) -> Tensor {
        arithmetic == .float32 ? weight.value : rounded
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
        multiply(x.pointer, rows: x.rows, w, bias: bias, into: y.pointer, parallelism)
    }

    internal static func multiply(
        _ x: UnsafePointer<Float>, rows: Int, _ w: Tensor, bias: Tensor?, into y: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        BLASLibrary.use(parallelism)
        let (m, n, k) = (Int32(rows), Int32(w.rows), Int32(w.columns))
        // Rows of Y begin as the bias, so that adding it costs no pass of its own.
        if let bias { ck_fill_rows_f32(bias.pointer, rows, w.rows, y) }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x, max(k, 1), w.pointer, max(k, 1), bias == nil ? 0 : 1, y, max(n, 1))
    }

    /// dW[N, K] = dY[M, N]ᵀ · X[M, K] and db[N] = Σ dY over M, into the gradients of `weight` and `bias`.
    public static func weightGradients(_ dy: Tensor, input x: Tensor, weight: Parameter, bias: Parameter?, _ parallelism: Parallelism) {
        requireShapes(x, weight.value, dy)
        weightGradients(dy.pointer, input: x.pointer, rows: dy.rows, weight: weight, bias: bias, adding: false, parallelism)
    }

    /// `adding` adds to the gradients instead of overwriting them.
    internal static func weightGradients(
        _ dy: UnsafePointer<Float>, input x: UnsafePointer<Float>, rows: Int, weight: Parameter, bias: Parameter?, adding: Bool,
        _ parallelism: Parallelism
    ) {
        BLASLibrary.use(parallelism)
        let (m, n, k) = (Int32(rows), Int32(weight.value.rows), Int32(weight.value.columns))
        cblas_sgemm(
            CblasRowMajor, CblasTrans, CblasNoTrans, n, k, m, 1, dy, max(n, 1), x, max(k, 1), adding ? 1 : 0, weight.gradient.pointer, max(k, 1))
        if let bias {
            if !adding { bias.gradient.fill(0) }
            ck_add_column_sums_f32(dy, rows, weight.value.rows, bias.gradient.pointer)
        }
    }

    /// dX[M, K] = dY[M, N] · W[N, K].
    public static func inputGradient(_ dy: Tensor, _ w: Tensor, into dx: Tensor, _ parallelism: Parallelism) {
        requireShapes(dx, w, dy)
        inputGradient(dy.pointer, rows: dy.rows, w, into: dx.pointer, parallelism)
    }

    internal static func inputGradient(
        _ dy: UnsafePointer<Float>, rows: Int, _ w: Tensor, into dx: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        BLASLibrary.use(parallelism)
        let (m, n, k) = (Int32(rows), Int32(w.rows), Int32(w.columns))
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, k, n, 1, dy, max(n, 1), w.pointer, max(k, 1), 0, dx, max(k, 1))
    }

    private static func requireShapes(_ x: Tensor, _ w: Tensor, _ y: Tensor) {
        trapUnless(
            x.columns == w.columns && y.columns == w.rows && x.rows == y.rows,
            "product: expected \(x.rows)×\(x.columns) · (\(y.columns)×\(x.columns))ᵀ = \(x.rows)×\(y.columns), found weights "
                + "\(w.rows)×\(w.columns) and outputs \(y.rows)×\(y.columns)")
    }
}
