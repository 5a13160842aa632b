internal import CTraining
internal import CompactNumerics

/// Scales with zero points, w = scale · multiplier · (code − zero point): codes span the range of the weights that share them, which always holds 0
/// (Jacob et al. 2018, arXiv:1712.05877).
internal struct AsymmetricScales {
    let format: WeightFormat
    /// Whether the share of the range of least squared error is taken instead of all of it.
    let searches: Bool

    private var lowest: Float { Float(format.codes.lowerBound) }
    private var highest: Float { Float(format.codes.upperBound) }

    /// Scales, multipliers and zero points for `weight` [N, K].
    func choose(_ weight: UnsafePointer<Float>, _ result: inout QuantizedWeights) {
        let scheme = format.scheme!, (rows, columns, groups) = (result.rows, result.columns, result.groups)
        if scheme.granularity == .tensor {
            let range = range(weight, rows * columns), scale = Self.usable(wanted(range))
            result.scales = Array(repeating: scale, count: rows)
            result.zeroPoints = Array(repeating: zeroPoint(range, scale), count: rows)
            return
        }
        let size = scheme.group == 0 ? columns : scheme.group
        for row in 0..<rows {
            let ranges = (0..<groups).map { range(weight + row * columns + $0 * size, min(size, columns - $0 * size)) }
            let wanted = ranges.map(wanted)
            // Groups have whole multiples of one scale, rounded up so that nothing is clipped. A group of zeros wants none.
            let unit = Self.usable(scheme.group == 0 ? wanted[0] : wanted.max()! / 127)
            result.scales[row] = unit
            for (range, wanted) in zip(ranges, wanted) {
                let multiplier = scheme.group == 0 ? 1 : max(1, min(127, (wanted / unit).rounded(.up)))
                if scheme.group > 0 { result.multipliers.append(Int8(multiplier)) }
                result.zeroPoints.append(zeroPoint(range, unit * multiplier))
            }
        }
    }

    /// What maps the range onto all codes; 0 for an empty one. Halves, so that the difference of two large numbers does not overflow.
    private func wanted(_ range: ClosedRange<Float>) -> Float {
        (range.upperBound / 2 - range.lowerBound / 2) / (highest - lowest) * 2
    }

    /// 1 for zeros; never smaller than what has an inverse.
    private static func usable(_ scale: Float) -> Float { scale == 0 ? 1 : max(scale, .leastNormalMagnitude) }

    private func zeroPoint(_ range: ClosedRange<Float>, _ scale: Float) -> Int8 {
        Int8(max(lowest, min(highest, (lowest - range.lowerBound / scale).rounded(.toNearestOrEven))))
    }

    /// From the least to the greatest weight, or the share of it of least squared error.
    private func range(_ weights: UnsafePointer<Float>, _ count: Int) -> ClosedRange<Float> {
        var (low, high) = (Float(0), Float(0))
        for index in 0..<count { (low, high) = (min(low, weights[index]), max(high, weights[index])) }
        guard searches else { return low...high }
        var best = (error: Double.infinity, range: low...high)
        for step in 0..<80 {
            let share = 1 - 0.01 * Float(step), range = low * share...high * share, scale = Self.usable(wanted(range))
            let error = ck_rounding_error_f32(
                weights, count, scale, Int32(zeroPoint(range, scale)), format.codes.lowerBound, format.codes.upperBound)
            if error < best.error { best = (error, range) }
        }
        return best.range
    }
}
