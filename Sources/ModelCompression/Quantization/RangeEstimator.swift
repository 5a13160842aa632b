public import CompactNumerics
internal import CKernels
internal import CTraining

/// Finds scale and zero point of numbers that pass by in batches, in one pass and bounded memory: extremes and a histogram of 4,096 bins whose
/// width doubles when a number lies beyond them.
public struct RangeEstimator: Sendable {
    public let method: CalibrationMethod
    private static let bins = 4096
    private var counts = [UInt64](repeating: 0, count: RangeEstimator.bins)
    private var zeros = 0
    private var width: Float = 0x1p-20
    private var low: Float = 0
    private var high: Float = 0
    private var average: (low: Double, high: Double)?

    public init(_ method: CalibrationMethod) {
        self.method = method
    }

    /// How many numbers were added.
    public private(set) var count = 0
    /// Whether none of them was infinite.
    public var isFinite: Bool { low.isFinite && high.isFinite }

    /// Adds a batch of numbers.
    public mutating func add(_ values: UnsafeBufferPointer<Float>) {
        guard let start = values.baseAddress, values.count > 0 else { return }
        var (least, most) = (Float(0), Float(0))
        ck_active_kernels().pointee.row_range_f32(start, 1, values.count, values.count, &least, &most)
        (least, most) = (min(least, 0), max(most, 0))
        (low, high) = (min(low, least), max(high, most))
        if case .movingAverage(let share) = method {
            let (a, b) = (Double(least), Double(most))
            average = average.map { ($0.low + share * (a - $0.low), $0.high + share * (b - $0.high)) } ?? (a, b)
        }
        let reach = max(-least, most)
        while width * Float(Self.bins / 2) <= reach, width < 0x1p+100 {
            ck_histogram_widen(&counts, Self.bins)
            width *= 2
        }
        zeros += ck_histogram_f32(start, values.count, width, Self.bins, &counts)
        count += values.count
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
        let scale = Self.usable((range.upperBound - range.lowerBound) / Float(highest))
        let zeroPoint = (-range.lowerBound / scale).rounded(.toNearestOrEven)
        return .fixed(scale: scale, zeroPoint: Int(max(0, min(Float(highest), zeroPoint))))
    }

    private static func usable(_ scale: Float) -> Float { scale >= .leastNormalMagnitude && scale.isFinite ? scale : 1 }

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
        for step in 0..<100 {
            let share = 1 - 0.009 * Float(step), range = low * share...high * share
            let scale = Self.usable((range.upperBound - range.lowerBound) / Float(highest))
            let zero = Int32((-range.lowerBound / scale).rounded(.toNearestOrEven))
            let error = ck_histogram_error(counts, Self.bins, width, scale, max(0, min(Int32(highest), zero)), Int32(highest))
            if error < best.error { best = (error, range) }
        }
        return best.range
    }

    // Both ends move by the same share, so that codes stay codes of the whole range: clipping magnitudes instead, as is done for symmetric
    // codes, would cut the long side of standardized images at the spike of the short one.
    private func leastDivergenceRange() -> ClosedRange<Float> {
        var scratch = [Double](repeating: 0, count: Self.bins)
        var best = (divergence: Double.infinity, range: low...high)
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
