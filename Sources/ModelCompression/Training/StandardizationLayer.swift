internal import CKernels
internal import CTraining
public import CompactNumerics

/// (x − mean) / deviation of a network's raw inputs, in front of its other layers. No gradient changes it; means and deviations are saved
/// with the network as its statistics, and the deployed network begins with the same `ScaleShift`, bit for bit.
///
/// Inputs are not rounded to the arithmetic of training in front of it, where raw features may be out of its range, but behind it.
public final class StandardizationLayer: TrainableLayer {
    public let name: String
    /// [1, 1], [1, channels], or [1, numbers of a sample].
    public let means: Tensor
    /// As many; 0 where inputs tell nothing and become 0.
    public let deviations: Tensor
    private let output = Tensor(), inputGradient = Tensor()

    public var statistics: [(name: String, values: Tensor)] { [(name + ".mean", means), (name + ".deviation", deviations)] }
    public var summary: String { "standardization \(means.count)" }
    public var takesUnroundedInputs: Bool { true }
    // Of one sample, as `outputShape` was told.
    private var count: Int

    public init(_ name: String, _ standardization: Standardization) {
        func row(_ values: [Float]) -> Tensor {
            let tensor = Tensor(rows: 1, columns: values.count)
            tensor.pointer.update(from: values, count: values.count)
            return tensor
        }
        (self.name, means, deviations) = (name, row(standardization.means), row(standardization.deviations))
        count = standardization.means.count
    }

    private init(copying other: StandardizationLayer) {
        (name, means, deviations, count) = (other.name, other.means.copy(), other.deviations.copy(), other.count)
    }

    public func outputShape(for input: SampleShape) throws(CompressionError) -> SampleShape {
        guard [1, input.channels, input.count].contains(means.count) else {
            throw .shapeMismatch(
                what: "means of layer \(name)", expected: "1, \(input.channels) or \(input.count) for samples of \(input)", found: "\(means.count)")
        }
        count = input.count
        return input
    }

    private var scaleShift: (scale: [Float], shift: [Float]) {
        Standardization.scaleShift(means: means.elements, deviations: deviations.elements, count: count)
    }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        let (scale, shift) = scaleShift
        output.reshape(rows: input.rows, columns: input.columns)
        ck_scale_shift_f32(input.pointer, input.count / scale.count, scale.count, scale, shift, output.pointer)
        return output
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        guard needsInputGradient else { return nil }
        let scale = scaleShift.scale
        inputGradient.reshape(rows: outputGradient.rows, columns: outputGradient.columns)
        ck_scale_rows_f32(outputGradient.pointer, outputGradient.count / scale.count, scale.count, scale, inputGradient.pointer)
        return inputGradient
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) throws -> [any CompactNumerics.Layer] {
        let (scale, shift) = scaleShift
        return [try ScaleShift(scale: scale, shift: shift, positions: count / scale.count)]
    }

    public func copy() -> any TrainableLayer { StandardizationLayer(copying: self) }
}

extension TrainableNetwork {
    /// This network behind a `StandardizationLayer` by the samples of `data`, called "standardization": it takes raw inputs, in training and
    /// deployed. Layers are copies.
    ///
    /// - Throws: `CompressionError.shapeMismatch` unless the data fit, `.outOfRange` without samples or where the network has such a layer.
    public func standardizingInputs(of data: LabelledData, per scope: Standardization.Scope = .channel) throws(CompressionError) -> TrainableNetwork {
        try requireMatch(self, data)
        if let layer = layers.first(where: { $0 is StandardizationLayer }) {
            throw .outOfRange(what: "standardization of inputs", allowed: "a network without one", found: "layer \(layer.name)")
        }
        let layer = StandardizationLayer("standardization", try Standardization(data, per: scope))
        return try TrainableNetwork(inputShape: inputShape, layers: [layer] + layers.map { $0.copy() })
    }
}
