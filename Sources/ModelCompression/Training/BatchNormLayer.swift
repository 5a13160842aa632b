public import CompactNumerics
internal import CKernels
internal import CTraining

/// Batch normalization (Ioffe and Szegedy 2015, arXiv:1502.03167) over the channels of vectors or images.
///
/// Training normalizes by mean and variance of the batch, over samples and positions, and keeps running averages of both (the variance
/// with Bessel's correction, as PyTorch does), which are used otherwise. A batch of one sample at one position, such as the last one of 33
/// samples in batches of 32, has no variance: it is normalized by the running averages, as without training, and leaves them as they are.
/// In reduced arithmetic γ, β and the normalized numbers are rounded; the statistics stay float32.
public final class BatchNormLayer: TrainableLayer {
    public let name: String
    public let channels: Int
    /// γ and β, [1, channels].
    public let gamma: Parameter
    public let beta: Parameter
    /// [1, channels].
    public let runningMean: Tensor
    public let runningVariance: Tensor
    /// Share of the batch in the running averages.
    public let momentum: Float
    public let epsilon: Float

    private let mean = Tensor(), variance = Tensor(), inverse = Tensor()
    private let normalized = Tensor(), output = Tensor(), inputGradient = Tensor()
    private let roundedGamma = Tensor(), roundedBeta = Tensor()
    private var usedBatch = false
    private var positions = 1

    public var parameters: [Parameter] { [gamma, beta] }
    public var statistics: [(name: String, values: Tensor)] {
        [(name + ".running_mean", runningMean), (name + ".running_var", runningVariance)]
    }
    public var summary: String { "batch norm \(channels), momentum \(momentum), epsilon \(epsilon)" }

    /// A layer with γ = 1 and β = 0.
    ///
    /// - Precondition: `channels` is positive.
    public init(_ name: String, channels: Int, momentum: Float = 0.1, epsilon: Float = 1e-5) {
        trapUnless(channels > 0, "batch norm \(name): expected at least 1 channel, found \(channels)")
        (self.name, self.channels, self.momentum, self.epsilon) = (name, channels, momentum, epsilon)
        func row(_ value: Float) -> Tensor {
            let tensor = Tensor(rows: 1, columns: channels)
            tensor.fill(value)
            return tensor
        }
        gamma = Parameter(name: name + ".weight", value: row(1), decays: false)
        beta = Parameter(name: name + ".bias", value: row(0), decays: false)
        (runningMean, runningVariance) = (row(0), row(1))
    }

    private init(copying other: BatchNormLayer) {
        (name, channels, momentum, epsilon) = (other.name, other.channels, other.momentum, other.epsilon)
        (gamma, beta) = (other.gamma.copy(), other.beta.copy())
        (runningMean, runningVariance, positions) = (other.runningMean.copy(), other.runningVariance.copy(), other.positions)
    }

    public func outputShape(for input: SampleShape) throws(CompressionError) -> SampleShape {
        guard input.channels == channels else {
            throw .shapeMismatch(what: "channels of layer \(name)", expected: "\(channels)", found: "\(input.channels) (\(input))")
        }
        positions = input.height * input.width
        return input
    }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        let rows = input.count / channels
        for tensor in [normalized, output] { tensor.reshape(rows: input.rows, columns: input.columns) }
        for tensor in [mean, variance, inverse] { tensor.reshape(rows: 1, columns: channels) }
        usedBatch = context.isTraining && rows > 1
        if usedBatch {
            withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * channels) { scratch in
                ck_channel_moments_f32(input.pointer, rows, channels, scratch.baseAddress!, mean.pointer, variance.pointer)
            }
            updateAverages(rows: rows)
        } else {
            mean.assign(runningMean)
            variance.assign(runningVariance)
        }
        for channel in 0..<channels { inverse.pointer[channel] = 1 / (variance.pointer[channel] + epsilon).squareRoot() }
        ck_batch_norm_forward_f32(
            input.pointer, rows, channels, mean.pointer, inverse.pointer, gamma.value.pointer, beta.value.pointer, normalized.pointer,
            output.pointer)
        if context.arithmetic != .float32 { multiplyRounded(rows: rows, context.arithmetic) }
        return output
    }

    private func multiplyRounded(rows: Int, _ arithmetic: Arithmetic) {
        for (copy, parameter) in [(roundedGamma, gamma), (roundedBeta, beta)] {
            copy.assign(parameter.value)
            arithmetic.round(copy)
        }
        arithmetic.round(normalized)
        ck_scale_shift_f32(normalized.pointer, rows, channels, roundedGamma.pointer, roundedBeta.pointer, output.pointer)
    }

    private func updateAverages(rows: Int) {
        let correction = Float(rows) / Float(rows - 1)
        for channel in 0..<channels {
            runningMean.pointer[channel] += momentum * (mean.pointer[channel] - runningMean.pointer[channel])
            runningVariance.pointer[channel] += momentum * (variance.pointer[channel] * correction - runningVariance.pointer[channel])
        }
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        let rows = outputGradient.count / channels
        let factors = context.arithmetic == .float32 ? gamma.value : roundedGamma
        withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * channels) { scratch in
            ck_batch_norm_sums_f32(
                outputGradient.pointer, normalized.pointer, rows, channels, scratch.baseAddress!, gamma.gradient.pointer, beta.gradient.pointer)
        }
        guard needsInputGradient else { return nil }
        inputGradient.reshape(rows: outputGradient.rows, columns: outputGradient.columns)
        if usedBatch {
            ck_batch_norm_backward_f32(
                outputGradient.pointer, normalized.pointer, rows, channels, factors.pointer, inverse.pointer, gamma.gradient.pointer,
                beta.gradient.pointer, inputGradient.pointer)
        } else {
            // With fixed statistics the layer is y = x · scale + shift.
            let scale = zip(factors.elements, inverse.elements).map(*)
            ck_scale_rows_f32(outputGradient.pointer, rows, channels, scale, inputGradient.pointer)
        }
        return inputGradient
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) throws -> [any CompactNumerics.Layer] {
        let scale = zip(gamma.value.elements, runningVariance.elements).map { $0 / ($1 + epsilon).squareRoot() }
        let shift = (0..<channels).map { beta.value.pointer[$0] - runningMean.pointer[$0] * scale[$0] }
        return [try ScaleShift(scale: scale, shift: shift, positions: positions)]
    }

    public func copy() -> any TrainableLayer { BatchNormLayer(copying: self) }
}
