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
    /// To nearest, the largest magnitude onto the last code (with 2 bits and fewer the scale of least squared error).
    case nearest
    /// To nearest, with the scale of least squared error for each output.
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
    public var needsData: Bool {
        rounding == .gptq || correctsBias || activations == .static || activations == .staticSymmetric
    }

    /// - Throws: `CompressionError.outOfRange` for options that mean nothing or contradict each other, `.shapeMismatch` where a group does not
    ///   divide the inputs of a layer, and for the name of no layer.
    public func validate(for network: TrainableNetwork) throws(CompressionError) {
        guard samples >= 1 else { throw .outOfRange(what: "samples of calibration", allowed: "at least 1", found: "\(samples)") }
        switch calibration {
        case .movingAverage(let share) where !(share > 0 && share <= 1):
            throw .outOfRange(what: "share of a moving average", allowed: "0 < share ≤ 1", found: "\(share)")
        case .percentile(let outside) where !(outside >= 0 && outside < 1):
            throw .outOfRange(what: "share outside of a percentile", allowed: "0 ≤ share < 1", found: "\(outside)")
        default: break
        }
        let layers = network.weightedLayers
        for name in layerFormats.keys.sorted() where !layers.contains(where: { $0.name == name }) {
            throw .outOfRange(what: "layer to quantize", allowed: layers.map(\.name).joined(separator: ", "), found: name)
        }
        for layer in layers {
            guard !format(of: layer.name).isSparse else {
                throw .outOfRange(
                    what: "format of layer \(layer.name)", allowed: "a number format; layers that are pruned become sparse by themselves",
                    found: "\(format(of: layer.name))")
            }
            guard let scheme = format(of: layer.name).scheme else { continue }
            if case .group(let size) = scheme.granularity, layer.weight.value.columns % size != 0 {
                throw .shapeMismatch(
                    what: "inputs of layer \(layer.name) in \(scheme)", expected: "a multiple of \(size)", found: "\(layer.weight.value.columns)")
            }
            if weights == .asymmetric, activations != .none || scheme.bits == 1 || scheme.isTernary {
                throw .outOfRange(
                    what: "asymmetric weights of layer \(layer.name)", allowed: "formats of 8, 4, 3 and 2 bits with activations \"none\"",
                    found: "\(scheme), activations \"\(activations.rawValue)\"")
            }
            if scheme.activations == .sign, activations != .dynamic {
                throw .outOfRange(what: "activations of \(scheme)", allowed: "dynamic", found: activations.rawValue)
            }
        }
    }
}
