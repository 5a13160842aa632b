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
            let deployed = try Deployment(quantization: configuration, parallelism: parallelism).deploy(network, data: calibration)
            result.append(
                LayerSensitivity(
                    layer: layer.name, format: format, accuracy: try evaluate(deployed, evaluation, parallelism: parallelism),
                    bytes: deployed.linearLayers[index].layer.byteCount))
        }
    }
    return result
}

/// Formats of layers within a budget.
public struct MixedPrecision: Sendable, Hashable, Codable {
    public let layerFormats: [String: WeightFormat]
    /// Of all layers with weights.
    public let bytes: Int

    /// Of all choices of a format for each layer that fit into `budget`, the one whose accuracies lose least in sum, of equal ones the smallest. Losses of
    /// layers are taken to add up. Exact as long as no more than 10,000 partial choices are worth keeping, which takes dozens of layers; beyond that
    /// bytes are counted in steps of 1/5,000 of the budget.
    ///
    /// - Throws: `CompressionError.outOfRange` where even the smallest formats exceed the budget.
    public init(_ sensitivities: [LayerSensitivity], budget: Int) throws(CompressionError) {
        var layers: [(name: String, options: [LayerSensitivity])] = []
        for one in sensitivities {
            if let at = layers.firstIndex(where: { $0.name == one.layer }) {
                layers[at].options.append(one)
            } else {
                layers.append((one.layer, [one]))
            }
        }
        let smallest = layers.map { $0.options.map(\.bytes).min()! }
        for one in sensitivities where !(0...1 << 48).contains(one.bytes) {
            throw .outOfRange(what: "bytes of layer \(one.layer) in \(one.format)", allowed: "0…2⁴⁸", found: "\(one.bytes)")
        }
        guard smallest.reduce(0, +) <= budget else {
            throw .outOfRange(what: "byte budget of mixed precision", allowed: "at least \(smallest.reduce(0, +))", found: "\(budget)")
        }
        // What the layers so far can be: fewer bytes only with more loss. What the rest needs at least stays free.
        var choices = [Choice()], rest = smallest.reduce(0, +)
        for (layer, least) in zip(layers, smallest) {
            rest -= least
            let longer = choices.flatMap { choice in layer.options.map { choice.adding($0) } }.filter { $0.bytes <= budget - rest }
            choices = Self.worthKeeping(longer, step: longer.count > 10_000 ? max(1, budget / 5000) : 1)
        }
        let best = choices.last!  // of the most bytes and the least loss
        layerFormats = Dictionary(uniqueKeysWithValues: best.formats.map { ($0.layer, $0.format) })
        bytes = best.bytes
    }

    /// Formats of the first layers.
    private struct Choice {
        var bytes = 0
        var loss = 0.0
        var formats: [LayerSensitivity] = []

        func adding(_ option: LayerSensitivity) -> Choice {
            Choice(bytes: bytes + option.bytes, loss: loss + (1 - option.accuracy), formats: formats + [option])
        }
    }

    /// By ascending bytes, those that lose less than all smaller ones; of each `step` bytes one.
    private static func worthKeeping(_ choices: [Choice], step: Int) -> [Choice] {
        var kept: [Choice] = []
        for choice in choices.sorted(by: { ($0.bytes, $0.loss) < ($1.bytes, $1.loss) }) {
            guard let last = kept.last else { kept.append(choice); continue }
            guard choice.loss < last.loss else { continue }
            if step > 1 && kept.count > 1 && choice.bytes / step == last.bytes / step { kept.removeLast() }
            kept.append(choice)
        }
        return kept
    }
}
