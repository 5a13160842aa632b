public import CompactNumerics

/// From a trained network to the one that an app runs: THE place where the form of each layer is chosen.
///
/// Pruned weights are exactly 0 in every form. Layers of which enough is pruned become sparse, of single weights, blocks or N:M, in float32 and in
/// 8-bit formats; in others pruned weights are stored as zeros. Layers that quantization-aware training has prepared get exactly the integers that
/// were trained. Whatever the options say about a layer is done to it whether it is dense or sparse; what cannot be combined is refused by
/// `validate(for:)`.
public struct Deployment: Sendable {
    /// How to quantize; nil for float32.
    public var quantization: QuantizationConfiguration?
    /// What was pruned as one, the last first: blocks and N:M become layers of their own where kernels for them exist and the masks have that
    /// structure.
    public var granularities: [PruningGranularity]
    /// The least share of pruned weights of a sparse layer, 0…1; nil for 0.3 with float32 and 0.6 with int8 weights.
    public var minimumSparsity: Double?
    /// How many rows of activations a product will usually have.
    public var expectedRows: Int
    public var parallelism: Parallelism

    public init(
        quantization: QuantizationConfiguration? = nil, granularities: [PruningGranularity] = [], minimumSparsity: Double? = nil,
        expectedRows: Int = 64, parallelism: Parallelism = .serial
    ) {
        (self.quantization, self.granularities, self.minimumSparsity) = (quantization, granularities, minimumSparsity)
        (self.expectedRows, self.parallelism) = (expectedRows, parallelism)
    }

    /// - Throws: `CompressionError` for options that contradict each other or do not fit `network`, before anything is computed.
    public func validate(for network: TrainableNetwork) throws(CompressionError) {
        if let minimumSparsity, !(0...1).contains(minimumSparsity) {
            throw .outOfRange(what: "least sparsity of sparse layers", allowed: "0…1", found: "\(minimumSparsity)")
        }
        guard expectedRows >= 1 else { throw .outOfRange(what: "expected rows", allowed: "at least 1", found: "\(expectedRows)") }
        try quantization?.validate(for: network)
        for layer in network.weightedLayers {
            try layer.requireZeros(isPruned: layer.weight.mask?.contains(0) ?? false)
            guard let quantization, let trained = layer.product as? QuantizedTrainingProduct else { continue }
            try trained.requireSame(quantization, layer: layer.name)
        }
    }

    /// The deployed network; `network` stays as it is.
    ///
    /// - Parameter data: samples for calibration, GPTQ and bias correction, where the configuration asks for one of them; labels do not matter.
    /// - Throws: the errors of `validate(for:)`; `CompressionError.outOfRange` where samples are needed and there are none, `.shapeMismatch`
    ///   where they do not fit, `.notFinite` or `.numerics` for weights that are no numbers.
    public func deploy(_ network: TrainableNetwork, data: LabelledData? = nil) throws(CompressionError) -> Sequential {
        try validate(for: network)
        let network = try prepared(network)
        try network.requireFiniteParameters()
        let statistics = try quantization.map { configuration throws(CompressionError) in
            let layers = network.weightedLayers.filter {
                configuration.format(of: $0.name).scheme != nil && !($0.product is QuantizedTrainingProduct)
            }
            return try network.statistics(of: layers, configuration, data: data, parallelism: parallelism)
        }
        let form = SparseForm(granularities: granularities, minimumSparsity: minimumSparsity, expectedRows: expectedRows)
        return try CompressionError.wrapping {
            try network.deployed { layer, linear in
                try form.layer(dense(layer, linear, statistics ?? []), mask: layer.weight.weightMask())
            }
        }
    }

    /// With folded normalization and equal ranges, where asked for. What training has prepared stays as it was trained: folding or equalizing would
    /// change its codes.
    private func prepared(_ network: TrainableNetwork) throws(CompressionError) -> TrainableNetwork {
        guard let quantization, !network.isPreparedForQuantization else { return network.copy() }
        let folded = quantization.foldsBatchNormalization ? try network.foldingBatchNormalization() : network.copy()
        if quantization.equalizesLayers { folded.equalizeLayers() }
        return folded
    }

    /// A layer in its format, with all its weights, pruned ones as zeros.
    private func dense(_ layer: any WeightedLayer, _ linear: Linear, _ statistics: [LayerStatistics]) throws -> any LinearLayer {
        if let trained = layer.product as? QuantizedTrainingProduct { return try trained.deployed(layer, linear) }
        guard let quantization else { return linear }
        return try LinearQuantizer(quantization).quantize(
            linear, mask: layer.weight.weightMask(), statistics: statistics.first { $0.layer == layer.name }, name: layer.name)
    }
}

extension TrainableNetwork {
    /// Whether quantization-aware training has prepared a layer.
    internal var isPreparedForQuantization: Bool { weightedLayers.contains { $0.product is QuantizedTrainingProduct } }
}

extension WeightedLayer {
    /// - Throws: `CompressionError.outOfRange` where the layer trains signs, which have no 0, and weights of it are pruned.
    internal func requireZeros(isPruned: Bool) throws(CompressionError) {
        guard let trained = product as? QuantizedTrainingProduct else { return }
        try WeightQuantizer.requireZeros(trained.format, layer: name, isPruned: isPruned)
    }
}

extension QuantizedTrainingProduct {
    /// - Throws: `CompressionError.outOfRange` where `configuration` asks for something else than was trained.
    fileprivate func requireSame(_ configuration: QuantizationConfiguration, layer: String) throws(CompressionError) {
        let format = configuration.format(of: layer), isStatic = logInputScale != nil
        func refuse(_ what: String, _ allowed: String, _ found: String) -> CompressionError {
            .outOfRange(what: "\(what) of layer \(layer), which was trained in integers", allowed: allowed, found: found)
        }
        guard format == self.format else { throw refuse("format", "\(self.format)", "\(format)") }
        guard configuration.activations != .none, configuration.activations.isStatic == isStatic else {
            throw refuse("activations", isStatic ? "static ones" : "dynamic", configuration.activations.rawValue)
        }
        guard configuration.rounding == .nearest, !configuration.equalizesLayers, !configuration.correctsBias, configuration.weights == .symmetric
        else {
            throw refuse("options", "no rounding but to nearest, no equalization and no bias correction", "some")
        }
    }
}

extension Parameter {
    /// The mask of a weight [outputs, inputs]; nil where all are kept.
    internal func weightMask() throws(NumericsError) -> WeightMask? {
        guard let mask else { return nil }
        return try WeightMask(rows: value.rows, columns: value.columns, keeps: mask.map { $0 != 0 })
    }
}
