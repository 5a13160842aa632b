internal import CBLAS
internal import CKernels
internal import CTraining
public import CompactNumerics

/// What calibration, GPTQ and bias correction have to know about the inputs X of one layer, gathered batch by batch: their range, Σ xᵀx and means,
/// each only where the configuration needs it. GPTQ takes 8 · K² bytes.
///
///     var statistics = LayerStatistics(inputs: 784, for: configuration)
///     for batch in captured { try statistics.add(batch) }  // each [rows, 784]
///     let layer = try LinearQuantizer(configuration).quantize(linear, statistics: statistics)
public struct LayerStatistics: Sendable {
    /// The name of the layer, by which `configuration` chooses its format and errors tell of it.
    public let layer: String
    /// K, the columns of X.
    public let inputs: Int
    /// Rows of X so far.
    public private(set) var rows = 0
    internal private(set) var estimator: RangeEstimator?
    /// Σ xᵀx, [K, K], of which the upper triangle counts.
    internal private(set) var hessian: [Double]?
    private var sums: [Double]?

    /// Means of the inputs, [K], where bias correction needs them.
    internal var means: [Double]? { sums.map { $0.map { $0 / Double(max(1, rows)) } } }

    /// Statistics of a layer of `inputs` inputs that has seen nothing yet.
    ///
    /// - Precondition: `inputs` is in 1…2²⁴.
    public init(layer: String = "layer", inputs: Int, for configuration: QuantizationConfiguration) {
        trapUnless((1...1 << 24).contains(inputs), "inputs of layer \(layer): expected 1…\(1 << 24), found \(inputs)")
        (self.layer, self.inputs) = (layer, inputs)
        guard configuration.format(of: layer).scheme != nil else { return }
        if configuration.activations.isStatic { estimator = RangeEstimator(configuration.calibration) }
        if configuration.rounding == .gptq { hessian = [Double](repeating: 0, count: inputs * inputs) }
        if configuration.correctsBias { sums = [Double](repeating: 0, count: inputs) }
    }

    /// Adds inputs [rows, K]; for a convolution these are the windows of its images.
    ///
    /// - Throws: `CompressionError.shapeMismatch` unless there are K columns, `.notFinite` for NaN or infinity.
    public mutating func add(_ batch: Matrix, parallelism: Parallelism = .serial) throws(CompressionError) {
        guard batch.columns == inputs else {
            throw .shapeMismatch(what: "inputs of layer \(layer)", expected: "\(inputs) columns", found: "\(batch.columns)")
        }
        try batch.withUnsafeBufferPointer { elements throws(CompressionError) in
            if let start = elements.baseAddress { try add(start, rows: batch.rows, parallelism: parallelism) }
        }
    }

    internal mutating func add(_ x: UnsafePointer<Float>, rows count: Int, parallelism: Parallelism) throws(CompressionError) {
        let wrong = ck_first_not_finite_f32(x, count * inputs)
        guard wrong == count * inputs else {
            throw .notFinite(what: "inputs of layer \(layer) in calibration", row: rows + wrong / inputs, column: wrong % inputs)
        }
        rows += count
        estimator?.add(UnsafeBufferPointer(start: x, count: count * inputs))
        if sums != nil { ck_add_column_sums_f64(x, count, inputs, &sums!) }
        if hessian != nil { addSquares(x, rows: count, parallelism) }
    }

    // Squares of float32 overflow and vanish: the product is that of numbers around 1, and the power of two comes back in float64.
    private mutating func addSquares(_ x: UnsafePointer<Float>, rows count: Int, _ parallelism: Parallelism) {
        var (least, most) = (Float(0), Float(0))
        ck_active_kernels().pointee.row_range_f32(x, 1, count * inputs, count * inputs, &least, &most)
        let reach = max(-least, most)
        guard reach > 0 else { return }
        let exponent = max(-126, min(126, Int(reach.exponent)))
        var unit = Float(sign: .plus, exponent: -exponent, significand: 1)
        let scaled = Tensor(rows: count, columns: inputs), product = Tensor(rows: inputs, columns: inputs), k = Int32(inputs)
        ck_scale_each_row_f32(x, 1, scaled.count, &unit, scaled.pointer)
        BLASLibrary.use(parallelism)
        cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, k, Int32(count), 1, scaled.pointer, k, 0, product.pointer, k)
        ck_add_scaled_f64_f32(product.pointer, product.count, Double(sign: .plus, exponent: 2 * exponent, significand: 1), &hessian!)
    }
}

extension TrainableNetwork {
    /// Statistics of the inputs of `layers` over the first samples of `data`, in the order of the layers; empty ones where `configuration` needs no
    /// data.
    ///
    /// - Throws: `CompressionError.outOfRange` where samples are needed and there are none, `.shapeMismatch` where they do not fit, `.notFinite` where
    ///   an input of a layer is no number.
    internal func statistics(
        of layers: [any WeightedLayer], _ configuration: QuantizationConfiguration, data: LabelledData?, parallelism: Parallelism
    ) throws(CompressionError) -> [LayerStatistics] {
        var statistics = layers.map { LayerStatistics(layer: $0.name, inputs: $0.weight.value.columns, for: configuration) }
        guard configuration.needsData, !layers.isEmpty else { return statistics }
        guard let data, data.count > 0 else {
            throw .outOfRange(what: "samples for quantization", allowed: "at least 1 for calibration, GPTQ or bias correction", found: "none")
        }
        try requireMatch(self, data)
        var failure: CompressionError?
        forEachInput(of: layers, data: data, samples: configuration.samples, parallelism: parallelism) { index, x in
            guard failure == nil else { return }
            do throws(CompressionError) {
                try statistics[index].add(x.pointer, rows: x.rows, parallelism: parallelism)
            } catch { failure = error }
        }
        if let failure { throw failure }
        return statistics
    }

    /// - Throws: `CompressionError.notFinite` for the first number of a parameter that is none.
    internal func requireFiniteParameters() throws(CompressionError) {
        for parameter in parameters {
            let at = ck_first_not_finite_f32(parameter.value.pointer, parameter.value.count), columns = parameter.value.columns
            guard at == parameter.value.count else { throw .notFinite(what: parameter.name, row: at / columns, column: at % columns) }
        }
    }
}
