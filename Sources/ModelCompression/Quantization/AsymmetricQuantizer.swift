internal import CTraining
internal import CompactNumerics

/// Weights as codes with zero points, w = scale · multiplier · (code − zero point): codes span the range of the weights that share them, which
/// always holds 0 (Jacob et al. 2018, arXiv:1712.05877).
internal enum AsymmetricQuantizer {
    /// What weights that share a scale are rounded with.
    private struct Grid {
        var scale: Float
        var zeroPoint: Int8
    }

    /// `hessian` [K, K], Σ xᵀx of the layer's inputs, is for GPTQ. Zero points are [N, groups of an output].
    static func quantize(
        _ weight: Tensor, layer: String, format: WeightFormat, rounding: WeightRounding, hessian: [Double]? = nil
    ) throws(CompressionError) -> (QuantizedMatrix, zeroPoints: [Int8]) {
        guard let scheme = format.scheme else { trap("quantization of \(layer): expected an integer format, found \(format)") }
        let (rows, columns) = (weight.rows, weight.columns), groups = scheme.group > 0 ? columns / scheme.group : 1
        let (grids, scales, multipliers) = grids(weight, format, groups: groups, searches: rounding != .nearest || scheme.bits <= 2)
        let upper =
            rounding == .gptq
            ? try hessian.map { hessian throws(CompressionError) in
                try WeightQuantizer.choleskyOfInverse(hessian, columns: columns, layer: layer)
            } : nil
        var codes = [Int8](repeating: 0, count: weight.count)
        let copy = weight.copy()
        for row in 0..<rows {
            let own = (0..<columns).map { grids[row * groups + $0 * groups / columns] }
            codes.withUnsafeMutableBufferPointer { codes in
                let (from, to) = (copy.pointer + row * columns, codes.baseAddress! + row * columns)
                if let upper {
                    ck_gptq_row_f32(
                        from, columns, upper, own.map(\.scale), own.map(\.zeroPoint), format.codes.lowerBound, format.codes.upperBound, 0, to)
                } else {
                    for column in 0..<columns { to[column] = code(of: from[column], own[column], format) }
                }
            }
        }
        let matrix = try CompressionError.wrapping {
            try QuantizedMatrix(
                rows: rows, columns: columns, scheme: scheme, codes: codes, multipliers: scheme.group > 0 ? multipliers : [], scales: scales)
        }
        return (matrix, grids.map(\.zeroPoint))
    }

    private static func code(of weight: Float, _ grid: Grid, _ format: WeightFormat) -> Int8 {
        let code = (weight * (1 / grid.scale)).rounded(.toNearestOrEven) + Float(grid.zeroPoint)
        return Int8(max(Float(format.codes.lowerBound), min(Float(format.codes.upperBound), code)))
    }

    /// Of each output and group, with the scales and multipliers that make their scales.
    private static func grids(
        _ weight: Tensor, _ format: WeightFormat, groups: Int, searches: Bool
    ) -> (grids: [Grid], scales: [Float], multipliers: [Int8]) {
        let (rows, columns) = (weight.rows, weight.columns), length = columns / groups
        if format.scheme!.granularity == .tensor {
            let range = range(weight.pointer, weight.count, format, searches: searches)
            let shared = grid(range, scale: scale(range, format), format)
            return (Array(repeating: shared, count: rows), Array(repeating: shared.scale, count: rows), [])
        }
        var (grids, scales, multipliers) = ([Grid](), [Float](), [Int8]())
        for row in 0..<rows {
            let ranges = (0..<groups).map { range(weight.pointer + row * columns + $0 * length, length, format, searches: searches) }
            let wanted = ranges.map { scale($0, format) }
            // Groups have whole multiples of one scale, rounded up so that nothing is clipped.
            let unit = groups == 1 ? wanted[0] : wanted.max()! / 127
            for (range, wanted) in zip(ranges, wanted) {
                let multiplier = groups == 1 ? 1 : max(1, min(127, (wanted / unit).rounded(.up)))
                multipliers.append(Int8(multiplier))
                grids.append(grid(range, scale: unit * multiplier, format))
            }
            scales.append(unit)
        }
        return (grids, scales, multipliers)
    }

    private static func scale(_ range: ClosedRange<Float>, _ format: WeightFormat) -> Float {
        let scale = (range.upperBound - range.lowerBound) / Float(format.codes.upperBound - format.codes.lowerBound)
        return scale >= .leastNormalMagnitude && scale.isFinite ? scale : 1
    }

    private static func grid(_ range: ClosedRange<Float>, scale: Float, _ format: WeightFormat) -> Grid {
        let (lowest, highest) = (Float(format.codes.lowerBound), Float(format.codes.upperBound))
        return Grid(scale: scale, zeroPoint: Int8(max(lowest, min(highest, (lowest - range.lowerBound / scale).rounded(.toNearestOrEven)))))
    }

    /// From the least to the greatest weight, or the share of it of least squared error.
    private static func range(_ weights: UnsafePointer<Float>, _ count: Int, _ format: WeightFormat, searches: Bool) -> ClosedRange<Float> {
        var (low, high) = (Float(0), Float(0))
        for index in 0..<count { (low, high) = (min(low, weights[index]), max(high, weights[index])) }
        guard searches else { return low...high }
        var best = (error: Double.infinity, range: low...high)
        for step in 0..<80 {
            let share = 1 - 0.01 * Float(step), range = low * share...high * share
            let grid = grid(range, scale: scale(range, format), format)
            let error = ck_rounding_error_f32(
                weights, count, grid.scale, Int32(grid.zeroPoint), format.codes.lowerBound, format.codes.upperBound)
            if error < best.error { best = (error, range) }
        }
        return best.range
    }
}
