public import CompactNumerics

extension TrainableNetwork {
    /// Makes every layer that `configuration` quantizes train with the integers that it will have when deployed. Activations are quantized as the
    /// configuration says, static ones by calibration on `data` now.
    ///
    /// Layers in FP16 and BF16 train in float32 and are rounded by `Deployment`. Batch normalization stays a layer of its own: fold it before
    /// (`foldingBatchNormalization`) where it shall go.
    ///
    /// - Throws: the errors of `QuantizationConfiguration.validate(for:)` and `QuantizedTrainingProduct.init`; `CompressionError.outOfRange` for
    ///   weight-only formats, groups, rounding, equalization and bias correction, which training replaces, and where calibration lacks samples; `.notFinite` for weights and inputs of layers that are no numbers.
    public func prepareQuantizationAwareTraining(
        _ configuration: QuantizationConfiguration, data: LabelledData? = nil, parallelism: Parallelism = .serial
    ) throws(CompressionError) {
        try configuration.validateForTraining(self, pruned: prunedLayers)
        let layers = weightedLayers.filter { configuration.format(of: $0.name).scheme != nil }
        try requireFiniteParameters()
        let statistics = try statistics(of: layers, configuration, data: data, parallelism: parallelism)
        let products = try zip(layers, statistics).map { layer, statistics throws(CompressionError) in
            let inputs = LinearQuantizer(configuration).inputQuantization(statistics, name: layer.name)
            return try QuantizedTrainingProduct(
                layer: layer.name, weight: layer.weight, format: configuration.format(of: layer.name), inputQuantization: inputs,
                knowsInputs: statistics.estimator?.isEmpty != true)
        }
        for (layer, product) in zip(layers, products) { layer.product = product }
    }
}

/// The share of samples in `data` whose largest output of a deployed network is that of their class.
///
/// - Throws: `CompressionError.shapeMismatch` unless the network takes such samples and gives one output for each class, `.outOfRange` without
///   samples.
public func evaluate(
    _ network: Sequential, _ data: LabelledData, parallelism: Parallelism = .serial
) throws(CompressionError) -> Double {
    guard data.count > 0 else { throw .outOfRange(what: "samples to evaluate", allowed: "at least 1", found: "0") }
    guard network.inputCount.map({ $0 == data.inputs.columns }) ?? true else {
        throw .shapeMismatch(what: "samples", expected: "\(network.inputCount ?? 0) numbers, as the network takes", found: "\(data.inputs.columns)")
    }
    guard network.outputCount(inputs: data.inputs.columns) == data.classes else {
        throw .shapeMismatch(
            what: "classes", expected: "\(network.outputCount(inputs: data.inputs.columns)), the outputs of the network", found: "\(data.classes)")
    }
    return Double(deployedPredictions(network, data, parallelism).countEqual(to: data.labels)) / Double(data.count)
}
