internal import CKernels
internal import CTraining
internal import CompactNumerics

/// Turns the weights of one layer into codes and scales.
internal enum WeightQuantizer {
    /// `hessian` [K, K], Σ xᵀx of the layer's inputs, is for GPTQ.
    static func quantize(
        _ weight: Tensor, layer: String, format: WeightFormat, rounding: WeightRounding, hessian: [Double]? = nil
    ) throws(CompressionError) -> QuantizedMatrix {
        guard let scheme = format.scheme else { trap("quantization of \(layer): expected an integer format, found \(format)") }
        let isPlain = format == .integer(scheme)
        if rounding == .nearest, isPlain { return try CompressionError.wrapping { try QuantizedMatrix(weight.matrix, scheme: scheme) } }
        var codes = [Int8](repeating: 0, count: weight.count)
        let (scales, multipliers) = scales(weight, format)
        let lowest = format.codes.lowerBound, highest = format.codes.upperBound
        if rounding == .gptq, let hessian {
            let upper = try choleskyOfInverse(hessian, columns: weight.columns, layer: layer)
            roundInOrder(weight, scales, multipliers, upper, format, &codes)
        } else if scheme.group > 0 {
            return try CompressionError.wrapping { try QuantizedMatrix(weight.matrix, scheme: scheme) }
        } else {
            for row in 0..<weight.rows {
                codes.withUnsafeMutableBufferPointer { codes in
                    let (from, to) = (weight.pointer + row * weight.columns, codes.baseAddress! + row * weight.columns)
                    withUnsafeTemporaryAllocation(of: Float.self, capacity: weight.columns) { rounded in
                        if format.isBinary {
                            ck_fake_signs_f32(from, weight.columns, rounded.baseAddress!)
                        } else {
                            ck_fake_codes_f32(from, weight.columns, 1 / scales[row], Float(lowest), Float(highest), rounded.baseAddress!)
                        }
                        ck_narrow_codes_s8_f32(rounded.baseAddress!, weight.columns, to)
                    }
                }
            }
        }
        return try CompressionError.wrapping {
            try QuantizedMatrix(rows: weight.rows, columns: weight.columns, scheme: scheme, codes: codes, multipliers: multipliers, scales: scales)
        }
    }

    /// Scales of outputs by least squared error, for groups with their multipliers.
    private static func scales(_ weight: Tensor, _ format: WeightFormat) -> (scales: [Float], multipliers: [Int8]) {
        let scheme = format.scheme!, (rows, columns) = (weight.rows, weight.columns)
        if scheme.group > 0 {
            let groups = columns / scheme.group, bits = scheme.isTernary ? Int32(ck_ternary) : Int32(scheme.bits)
            var (scales, multipliers) = ([Float](repeating: 0, count: rows), [Int8](repeating: 0, count: rows * groups))
            var (wanted, scratch) = ([Float](repeating: 0, count: groups), [UInt32](repeating: 0, count: 2 * scheme.group))
            for row in 0..<rows {
                scales[row] = ck_gemm_group_scale(bits, columns, scheme.group, weight.pointer + row * columns, &wanted, &scratch)
                multipliers.withUnsafeMutableBufferPointer { ck_gemm_multipliers(groups, wanted, scales[row], $0.baseAddress! + row * groups) }
            }
            return (scales, multipliers)
        }
        let isShared = scheme.granularity == .tensor
        let all = (0..<(isShared ? 1 : rows)).map {
            searchedScale(weight.pointer + $0 * columns, count: isShared ? weight.count : columns, format)
        }
        return (isShared ? Array(repeating: all[0], count: rows) : all, [])
    }

    /// The scale of least squared error of `count` weights: for signs their mean magnitude.
    static func searchedScale(_ weights: UnsafePointer<Float>, count: Int, _ format: WeightFormat) -> Float {
        if format.isBinary { return ck_gemm_channel_scale(1, count, weights, nil) }
        return ck_search_scale_f32(weights, count, format.codes.lowerBound, format.codes.upperBound)
    }

    internal static func choleskyOfInverse(_ hessian: [Double], columns: Int, layer: String) throws(CompressionError) -> [Float] {
        var inverse = hessian
        // 1 % of the mean diagonal, as the article; inputs that are always 0 then have no say.
        let mean = (0..<columns).reduce(0) { $0 + hessian[$1 * columns + $1] } / Double(columns), damping = mean > 0 ? 0.01 * mean : 1
        for index in 0..<columns { inverse[index * columns + index] += damping }
        try InverseHessian.invert(&inverse, columns: columns, layer: layer)
        try InverseHessian.factor(&inverse, columns: columns, layer: layer)
        var upper = [Float](repeating: 0, count: inverse.count)
        ck_round_f32_f64(inverse, inverse.count, &upper)
        return upper
    }

    private static func roundInOrder(
        _ weight: Tensor, _ scales: [Float], _ multipliers: [Int8], _ upper: [Float], _ format: WeightFormat, _ codes: inout [Int8]
    ) {
        let columns = weight.columns, group = format.scheme!.group, groups = group > 0 ? columns / group : 0
        let zeroPoints = [Int8](repeating: 0, count: columns)
        let copy = weight.copy()
        for row in 0..<weight.rows {
            let rowScales = (0..<columns).map { column -> Float in
                let scale = groups > 0 ? scales[row] * Float(multipliers[row * groups + column / group]) : scales[row]
                return scale == 0 ? .leastNormalMagnitude : scale
            }
            codes.withUnsafeMutableBufferPointer { codes in
                ck_gptq_row_f32(
                    copy.pointer + row * columns, columns, upper, rowScales, zeroPoints, format.codes.lowerBound, format.codes.upperBound,
                    format.isBinary ? 1 : 0, codes.baseAddress! + row * columns)
            }
        }
    }
}
