internal import CBLAS
internal import CTraining
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
    }

    /// The deployed network; `network` stays as it is.
    ///
    /// - Parameter data: samples for calibration, GPTQ and bias correction, where the configuration asks for one of them; labels do not matter.
    /// - Throws: the errors of `validate(for:)`; `CompressionError.outOfRange` where samples are needed and there are none, `.shapeMismatch`
    ///   where they do not fit, `.notFinite` or `.numerics` for weights that are no numbers.
    public func deploy(_ network: TrainableNetwork, data: LabelledData? = nil) throws(CompressionError) -> Sequential {
        try validate(for: network)
        let network = try prepared(network)
        for parameter in network.parameters {
            let at = ck_first_not_finite_f32(parameter.value.pointer, parameter.value.count), columns = parameter.value.columns
            if at < parameter.value.count { throw .notFinite(what: parameter.name, row: at / columns, column: at % columns) }
        }
        let statistics = try quantization.map { configuration throws(CompressionError) in
            try InputStatistics(network, configuration, data, parallelism)
        }
        let form = SparseForm(granularities: granularities, minimumSparsity: minimumSparsity, expectedRows: expectedRows)
        return try CompressionError.wrapping {
            try network.deployed { layer, linear in
                try form.layer(dense(layer, linear, statistics), mask: layer.weight.weightMask())
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
    private func dense(_ layer: any WeightedLayer, _ linear: Linear, _ statistics: InputStatistics?) throws -> any LinearLayer {
        if let trained = layer.product as? QuantizedTrainingProduct { return try trained.deployed(layer, linear) }
        guard let quantization, let statistics else { return linear }
        switch quantization.format(of: layer.name) {
        case .float32, .sparse, .nOfM: return linear
        case .half(let format): return try HalfLinear(linear, format: format)
        case .integer, .threeBits: return try Self.integerLayer(layer, linear, quantization, statistics)
        }
    }

    private static func integerLayer(
        _ layer: any WeightedLayer, _ linear: Linear, _ configuration: QuantizationConfiguration, _ statistics: InputStatistics
    ) throws -> any LinearLayer {
        let format = configuration.format(of: layer.name)
        let hessian = statistics.hessians[layer.name], means = statistics.means[layer.name]
        if configuration.weights == .asymmetric {
            let (weight, zeroPoints) = try AsymmetricQuantizer.quantize(
                layer.weight.value, layer: layer.name, format: format, rounding: configuration.rounding, hessian: hessian)
            let rounded = try WeightOnlyLinear(weight: weight, zeroPoints: zeroPoints, bias: linear.bias, activation: linear.activation)
            let bias = correctedBias(linear.bias, layer.weight.value, rounded.denseWeight(), means)
            return try WeightOnlyLinear(weight: weight, zeroPoints: zeroPoints, bias: bias, activation: linear.activation)
        }
        let weight = try WeightQuantizer.quantize(
            layer.weight.value, layer: layer.name, format: format, rounding: configuration.rounding, hessian: hessian)
        let bias = correctedBias(linear.bias, layer.weight.value, weight.dequantized(), means)
        if configuration.activations == .none {
            return try WeightOnlyLinear(weight: weight, bias: bias, activation: linear.activation)
        }
        return try QuantizedLinear(
            weight: weight, bias: bias, activation: linear.activation, inputQuantization: statistics.inputs[layer.name] ?? .dynamic)
    }

    /// With what rounding takes from the mean output; `means` of the inputs, nil where the bias is to stay.
    private static func correctedBias(_ bias: [Float]?, _ weight: Tensor, _ rounded: Matrix, _ means: [Double]?) -> [Float]? {
        guard let means else { return bias }
        var corrections = [Float](repeating: 0, count: weight.rows)
        rounded.withUnsafeBufferPointer {
            ck_mean_differences_f32(weight.pointer, $0.baseAddress!, weight.rows, weight.columns, means, &corrections)
        }
        return zip(bias ?? Array(repeating: 0, count: weight.rows), corrections).map(+)
    }
}

extension TrainableNetwork {
    /// Whether quantization-aware training has prepared a layer.
    internal var isPreparedForQuantization: Bool { weightedLayers.contains { $0.product is QuantizedTrainingProduct } }
}

extension Parameter {
    /// The mask of a weight [outputs, inputs]; nil where all are kept.
    internal func weightMask() throws(NumericsError) -> WeightMask? {
        guard let mask else { return nil }
        return try WeightMask(rows: value.rows, columns: value.columns, keeps: mask.map { $0 != 0 })
    }
}
