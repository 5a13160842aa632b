internal import CTraining
public import CompactNumerics

/// Post-training quantization of single layers, for those that bring layers and inputs of their own; `Deployment` does the same with networks.
///
/// What the configuration says about neighbouring layers, folding and equalization, does not apply.
public struct LinearQuantizer: Sendable {
    public let configuration: QuantizationConfiguration

    public init(_ configuration: QuantizationConfiguration) {
        self.configuration = configuration
    }

    /// `linear` in the format that the configuration has for `name`: a `QuantizedLinear`, where activations stay float32 a `WeightOnlyLinear`, a
    /// `HalfLinear`, or a `Linear`.
    ///
    /// - Parameters:
    ///   - linear: weights W [N, K].
    ///   - mask: which of the weights are kept, [N, K]; the others are exactly 0 in the result. Nil keeps all.
    ///   - statistics: of inputs [rows, K]; not needed for dynamic scales and rounding to nearest without bias correction.
    ///   - name: of the layer, for its format and for errors.
    /// - Throws: `CompressionError.outOfRange` for options that mean nothing, contradict each other or have no effect, for binary weights of which some
    ///   are pruned, and where inputs are needed and there are none; `.shapeMismatch` for a mask or statistics of another shape, `.notFinite` for weights that are no numbers, `.numerics` where the layer
    ///   cannot be made.
    public func quantize(
        _ linear: Linear, mask: WeightMask? = nil, statistics: LayerStatistics? = nil, name: String = "layer"
    ) throws(CompressionError) -> any LinearLayer {
        let linear = try checked(linear, mask, name)
        switch configuration.format(of: name) {
        case .float32, .sparse, .nOfM: return linear
        case .half(let format): return try CompressionError.wrapping { try HalfLinear(linear, format: format) }
        case .integer, .threeBits: break
        }
        let weights = try weights(of: linear, mask: mask, statistics: statistics, name: name)
        let bias = bias(of: linear, weights, statistics)
        return try CompressionError.wrapping {
            if configuration.activations == .none {
                return try WeightOnlyLinear(weight: weights.packed(), zeroPoints: weights.zeroPoints, bias: bias, activation: linear.activation)
            }
            return try QuantizedLinear(
                weight: weights.packed(), bias: bias, activation: linear.activation, inputQuantization: inputQuantization(statistics, name: name))
        }
    }

    /// The same with statistics of `inputs` [rows, K].
    public func quantize(
        _ linear: Linear, mask: WeightMask? = nil, inputs: Matrix, name: String = "layer", parallelism: Parallelism = .serial
    ) throws(CompressionError) -> any LinearLayer {
        guard linear.inputs >= 1 else { return try quantize(linear, mask: mask, name: name) }
        var statistics = LayerStatistics(layer: name, inputs: linear.inputs, for: configuration)
        try statistics.add(inputs, parallelism: parallelism)
        return try quantize(linear, mask: mask, statistics: statistics, name: name)
    }

    // MARK: - Parts, for whoever packs codes in another way

    /// Codes and scales of a layer in an integer format, by the rounding of the configuration.
    internal func weights(
        of linear: Linear, mask: WeightMask? = nil, statistics: LayerStatistics? = nil, name: String = "layer"
    ) throws(CompressionError) -> QuantizedWeights {
        let linear = try checked(linear, mask, name)
        try check(statistics, linear, name)
        let quantizer = WeightQuantizer(
            layer: name, format: configuration.format(of: name), rounding: configuration.rounding, symmetry: configuration.weights)
        return try quantizer.quantize(linear.weight, mask: mask, hessian: statistics?.hessian)
    }

    /// The bias with what rounding takes from the mean output; that of `linear` where it is not to be corrected.
    internal func bias(of linear: Linear, _ weights: QuantizedWeights, _ statistics: LayerStatistics?) -> [Float]? {
        guard configuration.correctsBias, let means = statistics?.means else { return linear.bias }
        var corrections = [Float](repeating: 0, count: linear.outputs)
        linear.weight.withUnsafeBufferPointer { weight in
            weights.dequantized().withUnsafeBufferPointer { rounded in
                ck_mean_differences_f32(weight.baseAddress!, rounded.baseAddress!, linear.outputs, linear.inputs, means, &corrections)
            }
        }
        return zip(linear.bias ?? Array(repeating: 0, count: linear.outputs), corrections).map(+)
    }

    /// How the layer quantizes its inputs.
    internal func inputQuantization(_ statistics: LayerStatistics?, name: String) -> ActivationQuantization {
        guard configuration.activations.isStatic, let estimator = statistics?.estimator else { return .dynamic }
        let highest = configuration.format(of: name).scheme.map { Int($0.activations.highest) } ?? 255
        return estimator.quantization(highest: highest, symmetric: configuration.activations == .staticSymmetric)
    }

    // MARK: - Checks

    /// The layer with zeros where the mask prunes.
    private func checked(_ linear: Linear, _ mask: WeightMask?, _ name: String) throws(CompressionError) -> Linear {
        try configuration.validate(layer: name, isPruned: mask?.keeps.contains(0) ?? false)
        if let at = linear.weight.firstNonFinite { throw .notFinite(what: "\(name).weight", row: at.row, column: at.column) }
        if let at = linear.bias?.firstIndex(where: { !$0.isFinite }) { throw .notFinite(what: "\(name).bias", row: 0, column: at) }
        guard let mask else { return linear }
        guard (mask.rows, mask.columns) == (linear.outputs, linear.inputs) else {
            throw .shapeMismatch(
                what: "mask of layer \(name)", expected: "\(linear.outputs)×\(linear.inputs)", found: "\(mask.rows)×\(mask.columns)")
        }
        var weight = linear.weight
        weight.withUnsafeMutableBufferPointer { elements in
            for place in elements.indices where mask.keeps[place] == 0 { elements[place] = 0 }
        }
        return try CompressionError.wrapping { try Linear(weight: weight, bias: linear.bias, activation: linear.activation) }
    }

    private func check(_ statistics: LayerStatistics?, _ linear: Linear, _ name: String) throws(CompressionError) {
        if let statistics, statistics.inputs != linear.inputs {
            throw .shapeMismatch(what: "statistics of layer \(name)", expected: "\(linear.inputs) inputs", found: "\(statistics.inputs)")
        }
        let isReady =
            (configuration.rounding != .gptq || statistics?.hessian != nil) && (!configuration.correctsBias || statistics?.means != nil)
            && (!configuration.activations.isStatic || statistics?.estimator != nil)
        guard !configuration.needsData || isReady && statistics!.rows > 0 else {
            throw .outOfRange(
                what: "inputs of layer \(name)", allowed: "statistics of at least 1 row, made for this configuration",
                found: statistics.map { "\($0.rows) rows\(isReady ? "" : " for another configuration")" } ?? "none")
        }
    }
}
