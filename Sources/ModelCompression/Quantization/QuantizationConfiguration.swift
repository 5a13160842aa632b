public import CompactNumerics

/// Where the scale of a layer's activations comes from.
public enum ActivationScales: String, Sendable, Hashable, Codable, CaseIterable {
    /// From each row, when it is there.
    case dynamic
    /// From calibration, with a zero point (asymmetric).
    case `static`
    /// From calibration, with code 128 (64 of 0…127) for zero.
    case staticSymmetric
    /// Activations stay float32: only the weights are stored in few bits, and widened before the product.
    case none
}

/// Which range of a layer's inputs calibration maps onto the codes.
public enum CalibrationMethod: Sendable, Hashable, Codable {
    case minMax
    /// Moving averages of the ranges of batches, each new one with the given share.
    case movingAverage(share: Double = 0.1)
    /// Without the given share of numbers at both ends together, such as 0.001.
    case percentile(outside: Double = 0.001)
    /// Of least squared rounding error.
    case meanSquaredError
    /// Of least Kullback–Leibler divergence (Migacz, TensorRT, GTC 2017).
    case entropy
}

/// Whether zero is the code 0.
public enum WeightSymmetry: String, Sendable, Hashable, Codable, CaseIterable {
    case symmetric
    /// A zero point for each scale, so that codes span the range from the least to the greatest weight. For weights alone, in 8, 4, 3 and 2
    /// bits: integer products have no zero points of weights.
    case asymmetric
}

/// How weights get their codes.
public enum WeightRounding: String, Sendable, Hashable, Codable, CaseIterable {
    /// To nearest, the largest magnitude onto the last code (with 3 bits and fewer the scale of least squared error).
    case nearest
    /// To nearest, with the scale of least squared error for each output (with 2 bits of all positive ones).
    case searchedScale
    /// One input after the other, what rounding loses going to those that follow (GPTQ; Frantar et al. 2023, arXiv:2210.17323), with searched
    /// scales. Needs data; formats with groups keep their scales of groups.
    case gptq
}

/// What to quantize, and how.
public struct QuantizationConfiguration: Sendable, Hashable, Codable {
    public var format: WeightFormat
    /// Formats of single layers by name; "float32" leaves a layer as it is.
    public var layerFormats: [String: WeightFormat]
    public var activations: ActivationScales
    public var calibration: CalibrationMethod
    public var rounding: WeightRounding
    public var weights: WeightSymmetry
    /// Folds batch normalization into the layer in front of it.
    public var foldsBatchNormalization: Bool
    /// Equal ranges for the channels of neighbouring layers before rounding (Nagel et al. 2019, arXiv:1906.04721).
    public var equalizesLayers: Bool
    /// Adds to the bias what rounding of the weights takes from the mean output (the same article). Needs data.
    public var correctsBias: Bool
    /// How many of the samples, from the first, calibration, GPTQ and bias correction use at most.
    public var samples: Int

    public init(
        format: WeightFormat, layerFormats: [String: WeightFormat] = [:], activations: ActivationScales = .dynamic,
        calibration: CalibrationMethod = .minMax, rounding: WeightRounding = .nearest, weights: WeightSymmetry = .symmetric,
        foldsBatchNormalization: Bool = true, equalizesLayers: Bool = false, correctsBias: Bool = false, samples: Int = 1024
    ) {
        (self.format, self.layerFormats, self.activations, self.calibration) = (format, layerFormats, activations, calibration)
        (self.rounding, self.weights, self.foldsBatchNormalization) = (rounding, weights, foldsBatchNormalization)
        (self.equalizesLayers, self.correctsBias, self.samples) = (equalizesLayers, correctsBias, samples)
    }

    /// The format of a layer.
    public func format(of layer: String) -> WeightFormat { layerFormats[layer] ?? format }

    /// Whether quantizing takes samples.
    public var needsData: Bool { rounding == .gptq || correctsBias || activations.isStatic }

    /// - Throws: `CompressionError.outOfRange` for options that mean nothing, contradict each other or have no effect, for binary weights of a layer
    ///   with pruned ones, and for the name of no layer.
    public func validate(for network: TrainableNetwork) throws(CompressionError) {
        try validate(for: network, pruned: network.prunedLayers)
    }

    /// The same for a network that will have pruned weights in the layers `pruned`.
    internal func validate(for network: TrainableNetwork, pruned: Set<String>) throws(CompressionError) {
        try validateNumbers()
        let layers = network.weightedLayers
        for name in layerFormats.keys.sorted() where !layers.contains(where: { $0.name == name }) {
            throw .outOfRange(what: "layer to quantize", allowed: layers.map(\.name).joined(separator: ", "), found: name)
        }
        for layer in layers where format(of: layer.name).scheme != nil && layer.weight.value.columns > QuantizedMatrix.maximumColumns {
            throw .outOfRange(
                what: "inputs of layer \(layer.name) in \(format(of: layer.name))", allowed: "at most \(QuantizedMatrix.maximumColumns)",
                found: "\(layer.weight.value.columns)")
        }
        for layer in layers { try validateFormat(of: layer.name, isPruned: pruned.contains(layer.name)) }
        try validateEffects(layers.map { format(of: $0.name) })
    }

    /// The same for one layer alone, some of whose weights may be pruned; other layers may have the formats of `layerFormats`.
    internal func validate(layer: String, isPruned: Bool) throws(CompressionError) {
        try validateNumbers()
        try validateFormat(of: layer, isPruned: isPruned)
        try validateEffects([format] + layerFormats.values)
    }

    private func validateNumbers() throws(CompressionError) {
        guard samples >= 1 else { throw .outOfRange(what: "samples of calibration", allowed: "at least 1", found: "\(samples)") }
        switch calibration {
        case .movingAverage(let share) where !(share > 0 && share <= 1):
            throw .outOfRange(what: "share of a moving average", allowed: "0 < share ≤ 1", found: "\(share)")
        case .percentile(let outside) where !(outside >= 0 && outside < 1):
            throw .outOfRange(what: "share outside of a percentile", allowed: "0 ≤ share < 1", found: "\(outside)")
        default: break
        }
    }

    private func validateFormat(of layer: String, isPruned: Bool) throws(CompressionError) {
        let format = format(of: layer)
        guard !format.isSparse else {
            throw .outOfRange(
                what: "format of layer \(layer)", allowed: "a number format; layers that are pruned become sparse by themselves", found: "\(format)")
        }
        guard let scheme = format.scheme else { return }
        try WeightQuantizer.requireZeros(format, layer: layer, isPruned: isPruned)
        if weights == .asymmetric, activations != .none || scheme.bits == 1 || scheme.isTernary {
            throw .outOfRange(
                what: "asymmetric weights of layer \(layer)", allowed: "formats of 8, 4, 3 and 2 bits with activations \"none\"",
                found: "\(scheme), activations \"\(activations.rawValue)\"")
        }
        if scheme.activations == .sign, activations != .dynamic {
            throw .outOfRange(what: "activations of \(scheme)", allowed: "dynamic", found: activations.rawValue)
        }
        if rounding == .searchedScale, scheme.group > 0 {
            throw .outOfRange(what: "rounding of layer \(layer) in \(scheme)", allowed: "nearest or gptq for groups", found: rounding.rawValue)
        }
    }

    /// An option that changes nothing was meant to change something.
    private func validateEffects(_ formats: [WeightFormat]) throws(CompressionError) {
        let other = QuantizationConfiguration(format: format), hasIntegers = formats.contains { $0.scheme != nil }
        func require(_ acts: Bool, _ what: String, _ allowed: String, _ found: String) throws(CompressionError) {
            if !acts { throw .outOfRange(what: what, allowed: allowed, found: found) }
        }
        try require(
            activations.isStatic || calibration == other.calibration, "calibration, which only static activations have", "none", "\(calibration)")
        guard !hasIntegers else { return }
        let without = "without a layer of integers"
        try require(activations == other.activations, "activations \(without)", other.activations.rawValue, activations.rawValue)
        try require(rounding == other.rounding, "rounding \(without)", other.rounding.rawValue, rounding.rawValue)
        try require(weights == other.weights, "weights \(without)", other.weights.rawValue, weights.rawValue)
        try require(!correctsBias, "bias correction \(without)", "none", "one")
    }

    /// What quantization-aware training takes of `validate`, and what it cannot do.
    internal func validateForTraining(_ network: TrainableNetwork, pruned: Set<String>) throws(CompressionError) {
        try validate(for: network, pruned: pruned)
        let what = "of quantization-aware training"
        guard activations != .none else { throw .outOfRange(what: "activations \(what)", allowed: "dynamic or static", found: "none") }
        guard rounding == .nearest else { throw .outOfRange(what: "rounding \(what)", allowed: "nearest", found: rounding.rawValue) }
        guard !equalizesLayers, !correctsBias else {
            throw .outOfRange(what: "options \(what)", allowed: "no equalization and no bias correction: it learns weights and biases", found: "one")
        }
        guard network.weightedLayers.contains(where: { format(of: $0.name).scheme != nil }) else {
            throw .outOfRange(what: "formats \(what)", allowed: "integers for at least one layer", found: "\(format)")
        }
        for layer in network.weightedLayers {
            guard let scheme = format(of: layer.name).scheme, scheme.group > 0 || scheme.activations == .sign else { continue }
            throw .outOfRange(
                what: "format \(what) for layer \(layer.name)", allowed: "integers with a scale per channel or tensor", found: "\(scheme)")
        }
    }
}

extension TrainableNetwork {
    /// Names of layers with a mask.
    internal var prunedLayers: Set<String> { Set(weightedLayers.filter { $0.weight.mask != nil }.map(\.name)) }
}

extension ActivationScales {
    /// Whether scales come from calibration.
    internal var isStatic: Bool { self == .static || self == .staticSymmetric }
}
