internal import CBLAS
internal import CTraining
public import CompactNumerics

/// Post-training quantization: a deployed network from a trained one, without training on.
public struct Quantizer: Sendable {
    public let configuration: QuantizationConfiguration
    public let parallelism: Parallelism

    public init(_ configuration: QuantizationConfiguration, parallelism: Parallelism = .serial) {
        (self.configuration, self.parallelism) = (configuration, parallelism)
    }

    /// The quantized network; `network` stays as it is. Layers that quantization-aware training has prepared are converted as trained.
    ///
    /// - Parameter data: samples for calibration, GPTQ and bias correction, where the configuration asks for one of them; labels do not matter.
    /// - Throws: the errors of `QuantizationConfiguration.validate(for:)`; `CompressionError.outOfRange` where samples are needed and there are
    ///   none, `.shapeMismatch` where they do not fit, `.notFinite` or `.numerics` for weights that are no numbers.
    public func quantize(_ network: TrainableNetwork, data: LabelledData? = nil) throws(CompressionError) -> Sequential {
        try configuration.validate(for: network)
        // What training has prepared stays as it was trained: folding or equalizing would change its codes.
        let isPrepared = network.weightedLayers.contains { $0.product is QuantizedTrainingProduct }
        var network = configuration.foldsBatchNormalization && !isPrepared ? try network.foldingBatchNormalization() : network.copy()
        if configuration.equalizesLayers && !isPrepared { network.equalizeLayers() }
        for parameter in network.parameters where ck_first_not_finite_f32(parameter.value.pointer, parameter.value.count) < parameter.value.count {
            let at = ck_first_not_finite_f32(parameter.value.pointer, parameter.value.count)
            throw .notFinite(what: parameter.name, row: at / parameter.value.columns, column: at % parameter.value.columns)
        }
        let statistics = try InputStatistics(network, configuration, data, parallelism)
        return try Self.deploy(&network, configuration, statistics)
    }

    private static func deploy(
        _ network: inout TrainableNetwork, _ configuration: QuantizationConfiguration, _ statistics: InputStatistics
    ) throws(CompressionError) -> Sequential {
        let network = network
        return try CompressionError.wrapping {
            try network.deployed { layer, linear in
                if let trained = layer.product as? QuantizedTrainingProduct { return try trained.deployed(layer, linear) }
                switch configuration.format(of: layer.name) {
                case .float32, .sparse, .nOfM: return linear
                case .half(let format): return HalfLinear(linear, format: format)
                case .integer, .threeBits: return try integerLayer(layer, linear, configuration, statistics)
                }
            }
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

/// What one pass of samples tells about the inputs of layers that are to be quantized.
private struct InputStatistics {
    var inputs: [String: ActivationQuantization] = [:]
    /// Σ xᵀx, [K, K].
    var hessians: [String: [Double]] = [:]
    var means: [String: [Double]] = [:]

    init(
        _ network: TrainableNetwork, _ configuration: QuantizationConfiguration, _ data: LabelledData?, _ parallelism: Parallelism
    ) throws(CompressionError) {
        let layers = network.weightedLayers.filter { configuration.format(of: $0.name).scheme != nil && !($0.product is QuantizedTrainingProduct) }
        guard configuration.needsData, !layers.isEmpty else { return }
        guard let data, data.count > 0 else {
            throw .outOfRange(what: "samples for quantization", allowed: "at least 1 for calibration, GPTQ or bias correction", found: "none")
        }
        try requireMatch(network, data)
        let isStatic = configuration.activations == .static || configuration.activations == .staticSymmetric
        let columns = layers.map(\.weight.value.columns)
        var estimators = layers.map { _ in RangeEstimator(configuration.calibration) }
        var sums = columns.map { [Double](repeating: 0, count: configuration.correctsBias ? $0 : 0) }
        var hessians = columns.map { [Double](repeating: 0, count: configuration.rounding == .gptq ? $0 * $0 : 0) }
        var rows = layers.map { _ in 0 }
        let product = Tensor()
        network.forEachInput(of: layers, data: data, samples: configuration.samples, parallelism: parallelism) { index, x in
            rows[index] += x.rows
            if isStatic { estimators[index].add(UnsafeBufferPointer(start: x.pointer, count: x.count)) }
            if configuration.correctsBias { ck_add_column_sums_f64(x.pointer, x.rows, x.columns, &sums[index]) }
            guard configuration.rounding == .gptq else { return }
            let k = Int32(x.columns)
            product.reshape(rows: x.columns, columns: x.columns)
            product.fill(0)
            cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, k, Int32(x.rows), 1, x.pointer, k, 0, product.pointer, k)
            ck_add_f64(product.pointer, product.count, &hessians[index])
        }
        for (index, layer) in layers.enumerated() {
            let highest = configuration.format(of: layer.name).scheme!.activations == .uint7 ? 127 : 255
            if isStatic {
                guard estimators[index].isFinite else { throw .notFinite(what: "inputs of layer \(layer.name) in calibration", row: 0, column: 0) }
                inputs[layer.name] = estimators[index].quantization(highest: highest, symmetric: configuration.activations == .staticSymmetric)
            }
            if configuration.correctsBias { means[layer.name] = sums[index].map { $0 / Double(rows[index]) } }
            if configuration.rounding == .gptq { self.hessians[layer.name] = hessians[index] }
        }
    }
}
