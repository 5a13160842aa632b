internal import CBLAS
internal import CTraining
internal import CompactNumerics

/// What one pass of samples tells about the inputs of layers that are to be quantized.
internal struct InputStatistics {
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
