public import CompactNumerics

/// What quantizing one layer alone costs and saves.
public struct LayerSensitivity: Sendable, Hashable, Codable {
    public let layer: String
    public let format: WeightFormat
    /// On the evaluation data, with all other layers in float32.
    public let accuracy: Double
    /// Bytes of this layer's weights and bias.
    public let bytes: Int
}

/// Accuracy and bytes of each layer in each format, all others in float32.
///
/// - Parameters:
///   - base: how to quantize; its formats do not matter.
///   - calibration: samples for static scales, GPTQ and bias correction.
/// - Returns: layer after layer, formats in the given order.
/// - Throws: the errors of `Quantizer.quantize` and `evaluate`.
public func quantizationSensitivity(
    of network: TrainableNetwork, formats: [WeightFormat], evaluation: LabelledData, base: QuantizationConfiguration,
    calibration: LabelledData? = nil, parallelism: Parallelism = .serial
) throws(CompressionError) -> [LayerSensitivity] {
    var result: [LayerSensitivity] = []
    for (index, layer) in network.weightedLayers.enumerated() {
        for format in formats {
            var configuration = base
            (configuration.format, configuration.layerFormats) = (.float32, [layer.name: format])
            let deployed = try Quantizer(configuration, parallelism: parallelism).quantize(network, data: calibration)
            result.append(
                LayerSensitivity(
                    layer: layer.name, format: format, accuracy: try evaluate(deployed, evaluation, parallelism: parallelism),
                    bytes: deployed.weightedBytes[index]))
        }
    }
    return result
}

extension Sequential {
    /// Bytes of the layers that have weights, in their order.
    internal var weightedBytes: [Int] { layers.compactMap { $0 is any LinearLayer || $0 is Convolution ? $0.byteCount : nil } }
}

/// Formats of layers within a budget.
public struct MixedPrecision: Sendable, Hashable, Codable {
    public let layerFormats: [String: WeightFormat]
    /// Of all layers with weights.
    public let bytes: Int

    /// Begins with the first format of `sensitivities` for each layer and, until the bytes fit into `budget`, takes the step to a smaller format of
    /// one layer that costs least accuracy per byte saved.
    ///
    /// - Throws: `CompressionError.outOfRange` where even the smallest formats exceed the budget.
    public init(_ sensitivities: [LayerSensitivity], budget: Int) throws(CompressionError) {
        var choices: [(layer: String, options: [LayerSensitivity], chosen: Int)] = []
        for one in sensitivities {
            if let at = choices.firstIndex(where: { $0.layer == one.layer }) {
                choices[at].options.append(one)
            } else {
                choices.append((one.layer, [one], 0))
            }
        }
        func total() -> Int { choices.reduce(0) { $0 + $1.options[$1.chosen].bytes } }
        while total() > budget {
            var best: (cost: Double, choice: Int, option: Int)?
            for (index, choice) in choices.enumerated() {
                let now = choice.options[choice.chosen]
                for (option, candidate) in choice.options.enumerated() where candidate.bytes < now.bytes {
                    let cost = (now.accuracy - candidate.accuracy) / Double(now.bytes - candidate.bytes)
                    if best.map({ cost < $0.cost }) ?? true { best = (cost, index, option) }
                }
            }
            guard let best else {
                throw .outOfRange(what: "byte budget of mixed precision", allowed: "at least \(total())", found: "\(budget)")
            }
            choices[best.choice].chosen = best.option
        }
        layerFormats = Dictionary(uniqueKeysWithValues: choices.map { ($0.layer, $0.options[$0.chosen].format) })
        bytes = total()
    }
}
