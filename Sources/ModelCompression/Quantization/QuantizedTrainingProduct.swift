internal import CBLAS
internal import CKernels
internal import CTraining
internal import Foundation
public import CompactNumerics

/// The product of quantization-aware training (Jacob et al. 2018, arXiv:1712.05877): it multiplies the integers that the deployed layer will
/// multiply, with its bits, and passes gradients straight through rounding. Scales of weights and static ones of inputs are learned (LSQ; Esser
/// et al. 2020, arXiv:1902.08153) in the logarithm (TQT; Jain et al. 2020, arXiv:1903.08066), so that they stay positive and steps are relative.
/// Weights that are all 0 have no scale until one of them changes (`LearnedScale`).
///
/// Integer sums are exact: codes are multiplied by float32 BLAS in pieces of K whose sums stay below 2²⁴, and added as int32.
public final class QuantizedTrainingProduct: LinearProduct {
    public let format: WeightFormat
    /// log of the scales, [1, N] or, one for the whole matrix, [1, 1].
    public let logScales: Parameter
    /// log of the scale of static inputs, [1, 1]; nil for dynamic ones. Its zero point stays.
    public let logInputScale: Parameter?
    private let inputZeroPoint: Int
    public var parameters: [Parameter] { [logScales] + (logInputScale.map { [$0] } ?? []) }

    /// How the layer quantizes its inputs at present.
    public var inputQuantization: ActivationQuantization {
        logInputScale.map { .fixed(scale: LearnedScale.scale(ofLogarithm: $0.value.pointer[0]), zeroPoint: inputZeroPoint) } ?? .dynamic
    }

    private let scheme: QuantizationScheme
    private let codes = Tensor(), fakeWeight = Tensor(), inputCodes = Tensor(), fakeInput = Tensor(), partial = Tensor()
    private let ownInputGradient = Tensor()
    private var inputBytes: [UInt8] = [], inputScales: [Float] = [], inputZeros: [Int32] = [], totals: [Int32] = []
    private var scales: [Float] = []

    /// A product for the present weights of a layer, whose scales begin with the least squared error.
    ///
    /// - Parameter knowsInputs: whether calibration saw an input other than 0. If not, the static scale is taken from the first batch that has one.
    /// - Throws: `CompressionError.outOfRange` for formats that cannot be trained: floating point, groups, signs of activations, and binary weights
    ///   where some are masked.
    public init(
        layer: String, weight: Parameter, format: WeightFormat, inputQuantization: ActivationQuantization = .dynamic,
        knowsInputs: Bool = true
    ) throws(CompressionError) {
        guard let scheme = format.scheme, scheme.group == 0, scheme.activations != .sign else {
            throw .outOfRange(
                what: "format of quantization-aware training for layer \(layer)", allowed: "integers with a scale per channel or tensor",
                found: "\(format)")
        }
        try WeightQuantizer.requireZeros(format, layer: layer, isPruned: weight.mask?.contains(0) ?? false)
        (self.format, self.scheme) = (format, scheme)
        if case .fixed(let scale, let zeroPoint) = inputQuantization {
            let value = Tensor(rows: 1, columns: 1)
            value.pointer[0] = knowsInputs ? LearnedScale.logarithm(of: scale) : LearnedScale.none
            logInputScale = Parameter(name: layer + ".log_input_scale", value: value, decays: false)
            inputZeroPoint = knowsInputs ? zeroPoint : (Int(scheme.activations.highest) + 1) / 2
        } else {
            (logInputScale, inputZeroPoint) = (nil, 0)
        }
        let value = Tensor(rows: 1, columns: scheme.granularity == .tensor ? 1 : weight.value.rows)
        logScales = Parameter(name: layer + ".log_scales", value: value, decays: false)
        for index in 0..<value.count { value.pointer[index] = LearnedScale.logarithm(of: searchedScale(weight.value, index)) }
    }

    /// The scale of least squared error of an output's weights, or of all; 0 where they are 0.
    private func searchedScale(_ weight: Tensor, _ index: Int) -> Float {
        let isShared = logScales.value.count == 1
        return WeightQuantizer.searchedScale(
            weight.pointer + index * weight.columns, count: isShared ? weight.count : weight.columns, format)
    }

    private init(copying other: QuantizedTrainingProduct) {
        (format, scheme, logScales) = (other.format, other.scheme, other.logScales.copy())
        (logInputScale, inputZeroPoint) = (other.logInputScale?.copy(), other.inputZeroPoint)
    }

    public func copy() -> any LinearProduct { QuantizedTrainingProduct(copying: self) }

    // MARK: - Forward

    public func forward(_ input: Tensor, weight: Parameter, bias: Parameter?, output: Tensor, context: TrainingContext) {
        quantizeWeights(weight.value)
        quantizeInput(input)
        BLASLibrary.use(context.parallelism)
        // Σ |x| · |w| < 2²⁴ makes every partial sum of floats exact, in whatever order.
        let largest = Float(scheme.activations == .uint7 ? 127 : 255)
        let rowSum = ck_largest_row_sum_f32(codes.pointer, codes.rows, codes.columns)
        let pieces = max(1, Int((largest * rowSum / 0x1p24).rounded(.up)))
        if pieces == 1 {
            multiply(0..<codes.columns, into: output)
            ck_scale_sums_f32(nil, output.rows, output.columns, inputScales, scales, bias?.value.pointer, output.pointer)
        } else {
            multiplyInPieces(into: output)
            ck_scale_sums_f32(totals, output.rows, output.columns, inputScales, scales, bias?.value.pointer, output.pointer)
        }
        ck_scale_each_row_f32(inputCodes.pointer, inputCodes.rows, inputCodes.columns, inputScales, fakeInput.pointer)
    }

    // 2²⁴ / (255 · 127) = 518 columns are safe whatever the codes.
    private func multiplyInPieces(into output: Tensor) {
        totals = [Int32](repeating: 0, count: output.count)
        partial.reshape(rows: output.rows, columns: output.columns)
        for first in stride(from: 0, to: codes.columns, by: 512) {
            multiply(first..<min(first + 512, codes.columns), into: partial)
            ck_add_sums_s32(partial.pointer, partial.count, &totals)
        }
    }

    private func multiply(_ range: Range<Int>, into y: Tensor) {
        let (m, n, k) = (Int32(y.rows), Int32(y.columns), Int32(codes.columns))
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, m, n, Int32(range.count), 1, inputCodes.pointer + range.lowerBound, k,
            codes.pointer + range.lowerBound, k, 0, y.pointer, n)
    }

    private func quantizeWeights(_ weight: Tensor) {
        let columns = weight.columns, count = logScales.value.count
        for tensor in [codes, fakeWeight] { tensor.reshape(rows: weight.rows, columns: columns) }
        for index in 0..<count where logScales.value.pointer[index] <= LearnedScale.none {
            let scale = searchedScale(weight, index)
            if scale > 0 { logScales.value.pointer[index] = LearnedScale.logarithm(ofFirst: scale, columns: columns, format) }
        }
        let values = (0..<count).map { LearnedScale.scale(ofLogarithm: logScales.value.pointer[$0]) }
        scales = count == 1 ? Array(repeating: values[0], count: weight.rows) : values
        for row in 0..<weight.rows {
            let (from, to) = (weight.pointer + row * columns, codes.pointer + row * columns)
            if format.isBinary {
                ck_fake_signs_f32(from, columns, to)
            } else {
                ck_fake_codes_f32(from, columns, 1 / scales[row], Float(format.codes.lowerBound), Float(format.codes.upperBound), to)
            }
        }
        ck_scale_each_row_f32(codes.pointer, weight.rows, columns, scales, fakeWeight.pointer)
    }

    private func quantizeInput(_ input: Tensor) {
        let (rows, columns) = (input.rows, input.columns), highest: Int32 = scheme.activations == .uint7 ? 127 : 255
        for tensor in [inputCodes, fakeInput] { tensor.reshape(rows: rows, columns: columns) }
        if inputBytes.count < input.count { inputBytes = [UInt8](repeating: 0, count: input.count) }
        inputScales = [Float](repeating: 0, count: rows)
        inputZeros = [Int32](repeating: 0, count: rows)
        let kernels = ck_active_kernels().pointee
        if let logInputScale, logInputScale.value.pointer[0] <= LearnedScale.none {
            var (least, most) = (Float(0), Float(0))
            kernels.row_range_f32(input.pointer, 1, input.count, input.count, &least, &most)
            logInputScale.value.pointer[0] = LearnedScale.logarithm(ofFirstInputs: max(-least, most), highest: Int(highest))
        }
        switch inputQuantization {
        case .dynamic:
            kernels.quantize_rows_u8_f32(input.pointer, rows, columns, columns, highest, &inputBytes, columns, &inputScales, &inputZeros)
            inputBytes.withUnsafeBufferPointer { bytes in
                for row in 0..<rows {
                    ck_widen_codes_f32_u8(bytes.baseAddress! + row * columns, columns, inputZeros[row], inputCodes.pointer + row * columns)
                }
            }
        case .fixed(let scale, let zeroPoint):
            kernels.quantize_u8_f32(input.pointer, input.count, 1 / scale, Int32(zeroPoint), 0, highest, &inputBytes)
            ck_widen_codes_f32_u8(inputBytes, input.count, Int32(zeroPoint), inputCodes.pointer)
            inputScales = [Float](repeating: scale, count: rows)
        }
    }

    // MARK: - Backward

    public func backward(
        _ outputGradient: Tensor, input: Tensor, weight: Parameter, bias: Parameter?, inputGradient: Tensor?, context: TrainingContext
    ) {
        FloatProduct.weightGradients(outputGradient, input: fakeInput, weight: weight, bias: bias, context.parallelism)
        let columns = weight.value.columns, isShared = logScales.value.count == 1
        logScales.gradient.fill(0)
        let bounds = (low: Float(format.codes.lowerBound), high: Float(format.codes.upperBound))  // of 1 bit −1…1
        // LSQ's factor 1 / √(weights of a scale · highest code), and d scale / d log scale = scale.
        let factor = 1 / (Float(isShared ? weight.value.count : columns) * max(1, bounds.high)).squareRoot()
        for row in 0..<weight.value.rows {
            let at = row * columns
            let sum = ck_lsq_gradient_f32(
                weight.value.pointer + at, codes.pointer + at, columns, 1 / scales[row], bounds.low, bounds.high, weight.gradient.pointer + at,
                weight.gradient.pointer + at)
            logScales.gradient.pointer[isShared ? 0 : row] += Float(sum) * scales[row] * factor
        }
        if inputGradient == nil && logInputScale == nil { return }
        let gradient = inputGradient ?? ownInputGradient  // the first layer has no other use for it than its scale
        gradient.reshape(rows: input.rows, columns: input.columns)
        FloatProduct.inputGradient(outputGradient, fakeWeight, into: gradient, context.parallelism)
        guard let logInputScale, case .fixed(let scale, let zeroPoint) = inputQuantization else { return }
        let highest = scheme.activations == .uint7 ? 127 : 255
        // Straight through inside the range, nothing outside. Half a step beyond the ends still rounds to a code.
        let sum = ck_lsq_gradient_f32(
            input.pointer, inputCodes.pointer, input.count, 1 / scale, Float(-zeroPoint) - 0.5, Float(highest - zeroPoint) + 0.5, gradient.pointer,
            gradient.pointer)
        logInputScale.gradient.pointer[0] = Float(sum) * scale / (Float(input.columns) * Float(highest)).squareRoot()
    }

    // MARK: - Deployment

    /// The layer with exactly the integers that training multiplied last.
    internal func deployed(_ layer: any WeightedLayer, _ linear: Linear) throws -> QuantizedLinear {
        quantizeWeights(layer.weight.value)
        var bytes = [Int8](repeating: 0, count: codes.count)
        ck_narrow_codes_s8_f32(codes.pointer, codes.count, &bytes)
        let matrix = try QuantizedMatrix(rows: codes.rows, columns: codes.columns, scheme: scheme, codes: bytes, scales: scales)
        return try QuantizedLinear(weight: matrix, bias: linear.bias, activation: linear.activation, inputQuantization: inputQuantization)
    }
}
