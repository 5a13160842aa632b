internal import CompactNumerics
internal import CTraining

/// How often each binary exponent occurs among gradients, and what FP16 would make of them (as in figure 3 of Micikevicius et al. 2018,
/// arXiv:1710.03740).
public struct GradientHistogram: Sendable, Hashable, Codable {
    /// Exponents of finite, nonzero float32 numbers, subnormal ones included.
    public static let exponents = -149...127

    /// Numbers x with 2ᵉ ≤ |x| < 2ᵉ⁺¹, one entry for each e of `exponents`.
    public private(set) var counts = [Int](repeating: 0, count: exponents.count)
    /// Numbers that are 0.
    public private(set) var zeros = 0
    /// Numbers that are NaN or infinite.
    public private(set) var notFinite = 0
    // Numbers that are powers of two, and those so far up that FP16 rounds them to the next one: they lie at FP16's limits.
    private var powers = [Int](repeating: 0, count: exponents.count)
    private var tops = [Int](repeating: 0, count: exponents.count)

    /// An empty histogram.
    public init() {}

    /// The numbers of a tensor.
    public init(_ tensor: Tensor) {
        self.init()
        add(tensor)
    }

    /// Numbers of all kinds.
    public var total: Int { counts.reduce(zeros + notFinite, +) }

    /// Numbers x with 2^`exponent` ≤ |x| < 2^(`exponent` + 1).
    public func count(exponent: Int) -> Int {
        Self.exponents.contains(exponent) ? counts[exponent - Self.exponents.lowerBound] : 0
    }

    /// Adds the numbers of `tensor`, divided by 2^`scaleExponent`.
    public mutating func add(_ tensor: Tensor, scaleExponent: Int = 0) {
        var fresh = GradientHistogram()
        fresh.countElements(of: tensor)
        add(fresh, shift: -scaleExponent)
    }

    private mutating func countElements(of tensor: Tensor) {
        func with(_ values: inout [Int], _ body: (UnsafeMutablePointer<Int64>) -> Void) {
            values.withUnsafeMutableBufferPointer { $0.withMemoryRebound(to: Int64.self) { body($0.baseAddress!) } }
        }
        with(&counts) { counts in
            with(&powers) { powers in
                with(&tops) { tops in
                    var result = ck_exponents(numbers: counts, powers: powers, tops: tops, zeros: 0, not_finite: 0)
                    ck_count_exponents_f32(tensor.pointer, tensor.count, &result)
                    (zeros, notFinite) = (zeros + Int(result.zeros), notFinite + Int(result.not_finite))
                }
            }
        }
    }

    /// Adds the counts of another histogram.
    public mutating func add(_ other: GradientHistogram) {
        add(other, shift: 0)
    }

    // Exponents that a shift moves out of the range are counted at its ends.
    private mutating func add(_ other: GradientHistogram, shift: Int) {
        for index in counts.indices where other.counts[index] > 0 {
            let target = min(max(index + shift, 0), counts.count - 1)
            counts[target] += other.counts[index]
            powers[target] += other.powers[index]
            tops[target] += other.tops[index]
        }
        (zeros, notFinite) = (zeros + other.zeros, notFinite + other.notFinite)
    }

    /// The share of all numbers that are not 0 but become 0 in FP16 after multiplication by `scale`: |x| · scale ≤ 2⁻²⁵, half the smallest
    /// subnormal number, where the tie goes to the even 0.
    ///
    /// - Precondition: `scale` is a power of two.
    public func flushedShare(scale: Float = 1) -> Double {
        let limit = -25 - Self.exponent(of: scale)
        return share { $0 < limit ? counts[$1] : $0 == limit ? powers[$1] : 0 }
    }

    /// The share of all numbers that lose bits as subnormal numbers of FP16 after multiplication by `scale`: 2⁻²⁵ < |x| · scale < 2⁻¹⁴.
    ///
    /// - Precondition: `scale` is a power of two.
    public func subnormalShare(scale: Float = 1) -> Double {
        let shift = Self.exponent(of: scale)
        return share { $0 + shift == -25 ? counts[$1] - powers[$1] : (-24 ... -15).contains($0 + shift) ? counts[$1] : 0 }
    }

    /// The share of all numbers that become infinite in FP16 after multiplication by `scale`, |x| · scale ≥ 65,520, or are not finite.
    ///
    /// - Precondition: `scale` is a power of two.
    public func overflowShare(scale: Float = 1) -> Double {
        let shift = Self.exponent(of: scale)
        let rest = total > 0 ? Double(notFinite) / Double(total) : 0
        return rest + share { $0 + shift > 15 ? counts[$1] : $0 + shift == 15 ? tops[$1] : 0 }
    }

    /// The exponents from the smallest to the largest that occur; nil if none does.
    public var range: ClosedRange<Int>? {
        guard let first = counts.firstIndex(where: { $0 > 0 }), let last = counts.lastIndex(where: { $0 > 0 }) else { return nil }
        return first + Self.exponents.lowerBound...last + Self.exponents.lowerBound
    }

    private func share(_ numbers: (_ exponent: Int, _ index: Int) -> Int) -> Double {
        let total = total
        guard total > 0 else { return 0 }
        return Double(counts.indices.reduce(0) { $0 + numbers($1 + Self.exponents.lowerBound, $1) }) / Double(total)
    }

    private static func exponent(of scale: Float) -> Int {
        trapUnless(scale.isNormal && scale > 0 && scale.significand == 1, "scale of gradients: expected a power of two, found \(scale)")
        return Int(scale.exponent)
    }
}

/// Collects gradients while a network trains, without the loss scale: what they are, not what it makes of them.
///
/// In FP16 or BF16 arithmetic it sees numbers that are rounded already; record in float32 to see what rounding would do.
public final class GradientRecorder: TrainingHook {
    /// Gradients with respect to outputs of layers, by name of the layer.
    public private(set) var layers: [String: GradientHistogram] = [:]
    /// Gradients of parameters, by name of the parameter; those of skipped steps are not counted.
    public private(set) var parameters: [String: GradientHistogram] = [:]
    /// Only each so many-th step is recorded.
    public let interval: Int

    /// Records nothing before `attach`.
    ///
    /// - Precondition: `interval` is positive.
    public init(interval: Int = 1) {
        trapUnless(interval > 0, "interval of recorded steps: expected at least 1, found \(interval)")
        self.interval = interval
    }

    /// Becomes the observer of the trainer's network, in the place of another one, and one of its hooks.
    ///
    /// - Throws: `CompressionError.outOfRange` for a fixed loss scale that is no power of two.
    public func attach(to trainer: Trainer) throws(CompressionError) {
        guard trainer.lossScale.scale.significand == 1 else {
            throw .outOfRange(what: "loss scale of recorded gradients", allowed: "a power of two", found: "\(trainer.lossScale.scale)")
        }
        trainer.hooks.append(self)
        trainer.network.gradientObserver = { [weak self, weak trainer] index, gradient in
            guard let self, let trainer, trainer.step % interval == 0 else { return }
            let name = trainer.network.layers[index].name
            layers[name, default: .init()].add(gradient, scaleExponent: Int(trainer.lossScale.scale.exponent))
        }
    }

    /// All gradients with respect to layers' outputs together.
    public var allLayers: GradientHistogram {
        layers.values.reduce(into: GradientHistogram()) { $0.add($1) }
    }

    public func willStep(_ trainer: Trainer, step: Int) {
        guard step % interval == 0 else { return }
        for parameter in trainer.network.parameters { parameters[parameter.name, default: .init()].add(parameter.gradient) }
    }
}
