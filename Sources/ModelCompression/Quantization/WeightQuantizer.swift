internal import CKernels
internal import CTraining
internal import CompactNumerics

/// Turns the weights of one layer into codes and scales.
internal struct WeightQuantizer {
    /// For errors.
    var layer = "layer"
    var format: WeightFormat
    var rounding: WeightRounding
    var symmetry = WeightSymmetry.symmetric

    private var scheme: QuantizationScheme { format.scheme! }
    private var range: ck_code_range {
        ck_code_range(lowest: format.codes.lowerBound, highest: format.codes.upperBound, signs: format.isBinary ? 1 : 0)
    }

    /// Codes of `weight` [N, K]. Weights that `mask` prunes are 0, whatever they were: their codes are zero points, and GPTQ passes on to the others
    /// what rounding loses.
    ///
    /// - Parameter hessian: Σ xᵀx of the layer's inputs, [K, K], for GPTQ alone.
    /// - Throws: `CompressionError.outOfRange` for binary weights of which some are pruned, and where the Hessian has no inverse.
    func quantize(_ weight: Matrix, mask: WeightMask? = nil, hessian: [Double]? = nil) throws(CompressionError) -> QuantizedWeights {
        guard format.scheme != nil else { trap("quantization of \(layer): expected an integer format, found \(format)") }
        trapUnless(rounding != .gptq || hessian != nil, "quantization of \(layer) by GPTQ: expected a Hessian, found none")
        let keeps = mask.flatMap { $0.keeps.contains(0) ? $0.keeps : nil }
        try Self.requireZeros(format, layer: layer, isPruned: keeps != nil)
        var kept = weight
        if let keeps {
            kept.withUnsafeMutableBufferPointer { elements in
                for place in elements.indices where keeps[place] == 0 { elements[place] = 0 }
            }
        }
        var result = QuantizedWeights(kept, format)
        chooseScales(kept, &result)
        if rounding == .gptq, let hessian {
            roundInOrder(kept, keeps, try choleskyOfInverse(hessian, columns: weight.columns), &result)
        } else {
            roundToNearest(kept, &result)
        }
        return result
    }

    /// - Throws: `CompressionError.outOfRange` for binary weights of which some are pruned.
    static func requireZeros(_ format: WeightFormat, layer: String, isPruned: Bool) throws(CompressionError) {
        guard format.isBinary, isPruned else { return }
        throw .outOfRange(
            what: "format of layer \(layer), which has pruned weights", allowed: "one with a code for 0, which signs have not", found: "\(format)")
    }

    // MARK: - Scales

    private func chooseScales(_ weight: Matrix, _ result: inout QuantizedWeights) {
        weight.withUnsafeBufferPointer { elements in
            guard let start = elements.baseAddress else { return }
            if symmetry == .asymmetric {
                AsymmetricScales(format: format, searches: rounding != .nearest || scheme.bits <= 2).choose(start, &result)
            } else if scheme.group > 0 {
                chooseGroupScales(start, &result)
            } else if scheme.granularity == .tensor {
                result.scales = Array(repeating: scale(start, count: weight.count), count: weight.rows)
            } else {
                for row in 0..<weight.rows { result.scales[row] = scale(start + row * weight.columns, count: weight.columns) }
            }
        }
    }

    /// Groups keep the scales of rounding to nearest.
    private func chooseGroupScales(_ weight: UnsafePointer<Float>, _ result: inout QuantizedWeights) {
        let (columns, groups) = (result.columns, result.groups)
        result.multipliers = [Int8](repeating: 0, count: result.rows * groups)
        var (wanted, scratch) = ([Float](repeating: 0, count: groups), [UInt32](repeating: 0, count: 2 * scheme.group))
        for row in 0..<result.rows {
            result.scales[row] = ck_gemm_group_scale(kernelBits, columns, scheme.group, weight + row * columns, &wanted, &scratch)
            result.multipliers.withUnsafeMutableBufferPointer { multipliers in
                ck_gemm_multipliers(groups, wanted, result.scales[row], multipliers.baseAddress! + row * groups)
            }
        }
    }

    /// As the kernels name the width.
    private var kernelBits: Int32 { scheme.isTernary ? Int32(ck_ternary) : Int32(scheme.bits) }

    private func scale(_ weights: UnsafePointer<Float>, count: Int) -> Float {
        if rounding == .nearest, format == .integer(scheme) {
            var scratch = [UInt32](repeating: 0, count: scheme.isTernary ? 2 * count : 0)
            return ck_gemm_channel_scale(kernelBits, count, weights, &scratch)
        }
        // Why 2 bits rounded to nearest have positive scales alone: gemm/weights.h. GPTQ makes up for what clipping takes.
        let scale = Self.searchedScale(weights, count: count, format, eitherSign: rounding == .gptq || scheme.bits > 2)
        return scale == 0 && !format.isBinary ? 1 : scale
    }

    /// The scale of least squared error of `count` weights, for signs their mean magnitude; 0 where all are 0.
    static func searchedScale(_ weights: UnsafePointer<Float>, count: Int, _ format: WeightFormat, eitherSign: Bool = false) -> Float {
        if format.isBinary { return ck_gemm_channel_scale(1, count, weights, nil) }
        return ck_search_scale_f32(weights, count, format.codes.lowerBound, format.codes.upperBound, eitherSign ? 1 : 0)
    }

    // MARK: - Rounding

    private func roundToNearest(_ weight: Matrix, _ result: inout QuantizedWeights) {
        let columns = weight.columns
        weight.withUnsafeBufferPointer { elements in
            for row in 0..<weight.rows {
                let scales = result.spread(result.groupScales(row: row)), zeroPoints = result.spread(result.groupZeroPoints(row: row))
                result.codes.withUnsafeMutableBufferPointer { codes in
                    let (from, to) = (elements.baseAddress! + row * columns, codes.baseAddress! + row * columns)
                    ck_round_row_f32(from, columns, scales, zeroPoints, range, to)
                }
            }
        }
    }

    private func roundInOrder(_ weight: Matrix, _ keeps: [UInt8]?, _ upper: [Float], _ result: inout QuantizedWeights) {
        let columns = weight.columns
        var rest = weight
        rest.withUnsafeMutableBufferPointer { elements in
            for row in 0..<weight.rows {
                // Binary weights that are all 0 have the scale 0.
                let scales = result.spread(result.groupScales(row: row)).map { $0 == 0 ? .leastNormalMagnitude : $0 }
                let zeroPoints = result.spread(result.groupZeroPoints(row: row)), own = keeps.map { Array($0[row * columns..<(row + 1) * columns]) }
                result.codes.withUnsafeMutableBufferPointer { codes in
                    let (from, to) = (elements.baseAddress! + row * columns, codes.baseAddress! + row * columns)
                    ck_gptq_row_f32(from, columns, upper, scales, zeroPoints, own, range, to)
                }
            }
        }
    }

    /// The upper Cholesky factor of the inverse of `hessian` [K, K]. A power of four is taken out first: the factor, a quotient of which is all that
    /// GPTQ uses, then has the same bits for inputs of any size.
    private func choleskyOfInverse(_ hessian: [Double], columns: Int) throws(CompressionError) -> [Float] {
        let mean = (0..<columns).reduce(0) { $0 + hessian[$1 * columns + $1] } / Double(columns)
        let unit = mean > 0 ? Double(sign: .plus, exponent: -2 * (Int(mean.exponent) / 2), significand: 1) : 1
        var inverse = hessian.map { $0 * unit }
        // 1 % of the mean diagonal, as the article; inputs that are always 0 then have no say.
        let damping = mean > 0 ? 0.01 * (mean * unit) : 1
        for index in 0..<columns { inverse[index * columns + index] += damping }
        try InverseHessian.invert(&inverse, columns: columns, layer: layer)
        try InverseHessian.factor(&inverse, columns: columns, layer: layer)
        var upper = [Float](repeating: 0, count: inverse.count)
        ck_round_f32_f64(inverse, inverse.count, &upper)
        return upper
    }
}
