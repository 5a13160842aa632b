public import CompactNumerics
internal import CKernels
internal import CTraining

/// Finds scale and zero point of numbers that pass by in batches, in one pass and bounded memory: extremes and a histogram of 4,096 bins.
///
/// The width of a bin is the least power of two with which all numbers so far fit, at first those of the first batch, and bins are joined in pairs
/// when it doubles: so numbers times 2ᵏ have ranges times 2ᵏ, and, but for moving averages, the order of the numbers does not matter.
public struct RangeEstimator: Sendable {
    public let method: CalibrationMethod
    private static let bins = 4096
    private var counts = [UInt64](repeating: 0, count: RangeEstimator.bins)
    private var zeros = 0
    /// Of a bin, a power of two; 0 until a number other than 0 was added.
    private var width: Float = 0
    private var low: Float = 0
    private var high: Float = 0
    private var average: (low: Double, high: Double)?

    public init(_ method: CalibrationMethod) {
        self.method = method
    }

    /// How many numbers were added.
    public private(set) var count = 0
    /// Whether none of them was infinite.
    public private(set) var isFinite = true
    /// Whether no number other than 0 was added.
    internal var isEmpty: Bool { low == 0 && high == 0 }

    /// Adds a batch of numbers. NaNs count as zeros; infinite numbers are left out of the range, and `isFinite` tells of them.
    public mutating func add(_ values: UnsafeBufferPointer<Float>) {
        guard let start = values.baseAddress, values.count > 0 else { return }
        var (least, most) = (Float(0), Float(0))
        ck_active_kernels().pointee.row_range_f32(start, 1, values.count, values.count, &least, &most)
        (least, most) = (min(least, 0), max(most, 0))
        guard least.isFinite, most.isFinite else {
            let finite = values.filter { !$0.isInfinite }
            finite.withUnsafeBufferPointer { add($0) }
            count += values.count - finite.count
            isFinite = false
            return
        }
        (low, high) = (min(low, least), max(high, most))
        if case .movingAverage(let share) = method {
            let (a, b) = (Double(least), Double(most))
            average = average.map { ($0.low + share * (a - $0.low), $0.high + share * (b - $0.high)) } ?? (a, b)
        }
        widen(toReach: max(-least, most))
        zeros += width == 0 ? values.count : ck_histogram_f32(start, values.count, width, Self.bins, &counts)
        count += values.count
    }

    // 2,048 bins, 2¹¹, on either side of 0 reach beyond 2ᵉ ≤ reach < 2ᵉ⁺¹ with a width of 2ᵉ⁻¹⁰. Smaller widths than 2⁻¹²⁶ have no inverse.
    private mutating func widen(toReach reach: Float) {
        guard reach > 0 else { return }
        let wanted = Float(sign: .plus, exponent: max(-126, Int(reach.exponent) - 10), significand: 1)
        if width == 0 { width = wanted }
        while width < wanted {
            ck_histogram_widen(&counts, Self.bins)
            width *= 2
        }
    }

    /// The range that the method maps onto the codes; it holds 0.
    public var range: ClosedRange<Float> {
        switch method {
        case .minMax: return low...high
        case .movingAverage: return Float(average?.low ?? 0)...Float(average?.high ?? 0)
        case .percentile(let outside): return percentileRange(outside: outside)
        case .meanSquaredError: return leastErrorRange(highest: 255)
        case .entropy: return leastDivergenceRange()
        }
    }

    /// Scale and zero point of codes 0…`highest` for `range`; symmetric ones have the code in the middle for 0.
    public func quantization(highest: Int, symmetric: Bool = false) -> ActivationQuantization {
        let range = method == .meanSquaredError ? leastErrorRange(highest: highest) : range
        if symmetric {
            let middle = (highest + 1) / 2, largest = max(-range.lowerBound, range.upperBound)
            return .fixed(scale: Self.usable(largest / Float(highest - middle)), zeroPoint: middle)
        }
        let (scale, zeroPoint) = Self.affine(range, highest: highest)
        return .fixed(scale: scale, zeroPoint: zeroPoint)
    }

    private static func affine(_ range: ClosedRange<Float>, highest: Int) -> (scale: Float, zeroPoint: Int) {
        let (low, high, codes) = (range.lowerBound, range.upperBound, Float(highest)), width = high - low
        let scale = usable(width.isFinite ? width / codes : high / codes - low / codes)
        return (scale, Int(max(0, min(codes, (-low / scale).rounded(.toNearestOrEven)))))
    }

    // 1 for an empty range; never smaller than what has an inverse.
    private static func usable(_ scale: Float) -> Float { scale == 0 ? 1 : max(scale, .leastNormalMagnitude) }

    private func value(_ bin: Int) -> Float { Float(bin - Self.bins / 2) * width }

    // Half of the numbers outside go at each end; a side without numbers gives what it has to the other.
    private func percentileRange(outside: Double) -> ClosedRange<Float> {
        let total = Double(counts.reduce(0, +)) + Double(zeros), limit = outside * total / (low < 0 && high > 0 ? 2 : 1)
        func reach(_ bins: some Sequence<Int>) -> Int? {
            var sum = 0.0
            return bins.first { bin in
                sum += Double(counts[bin])
                return sum > limit
            }
        }
        let middle = Self.bins / 2
        let first = reach(0..<middle).map { max(low, value($0)) } ?? 0
        let last = reach((middle..<Self.bins).reversed()).map { min(high, value($0 + 1)) } ?? 0
        return min(first, 0)...max(last, 0)
    }

    private func leastErrorRange(highest: Int) -> ClosedRange<Float> {
        var best = (error: Double.infinity, range: low...high)
        if isEmpty { return best.range }
        for step in 0..<100 {
            let share = 1 - 0.009 * Float(step), range = low * share...high * share
            let (scale, zero) = Self.affine(range, highest: highest)
            let error = ck_histogram_error(counts, Self.bins, width, scale, Int32(zero), Int32(highest))
            if error < best.error { best = (error, range) }
        }
        return best.range
    }

    // Both ends move by the same share, so that codes stay codes of the whole range: clipping magnitudes instead, as is done for symmetric
    // codes, would cut the long side of standardized images at the spike of the short one.
    private func leastDivergenceRange() -> ClosedRange<Float> {
        var scratch = [Double](repeating: 0, count: Self.bins)
        var best = (divergence: Double.infinity, range: low...high)
        if isEmpty { return best.range }
        for step in 0..<100 {
            let share = 1 - 0.009 * Float(step), range = low * share...high * share
            let first = max(0, Self.bins / 2 + Int((range.lowerBound / width).rounded(.down)))
            let end = min(Self.bins, Self.bins / 2 + Int((range.upperBound / width).rounded(.up)))
            guard first < end else { break }
            let divergence = ck_histogram_divergence(counts, Self.bins, first, end, min(256, end - first), &scratch)
            if divergence < best.divergence { best = (divergence, range) }
        }
        return best.range
    }
}
