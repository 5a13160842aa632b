internal import Foundation

/// The learning rate of each step, as a factor of the configured one.
public struct LearningRateSchedule: Sendable, Hashable, Codable {
    /// How the rate falls after the warm-up.
    public enum Decay: Sendable, Hashable, Codable {
        case constant
        /// Times `factor` after every `epochs` epochs.
        case step(epochs: Int, factor: Double)
        /// Half a cosine from 1 down to `floor` at the end of the run (Loshchilov and Hutter 2017, arXiv:1608.03983).
        case cosine(floor: Double)
    }

    public var decay: Decay
    /// Steps in which the rate rises in equal parts, the first of them 1 / warmUpSteps. The cosine begins after them.
    public var warmUpSteps: Int

    public init(_ decay: Decay, warmUpSteps: Int = 0) {
        (self.decay, self.warmUpSteps) = (decay, warmUpSteps)
    }

    public static let constant = LearningRateSchedule(.constant)
    public static let cosine = LearningRateSchedule(.cosine(floor: 0))

    /// - Throws: `CompressionError.outOfRange` for a schedule that means nothing.
    public func validate() throws(CompressionError) {
        guard warmUpSteps >= 0 else { throw .outOfRange(what: "warm-up steps", allowed: "at least 0", found: "\(warmUpSteps)") }
        switch decay {
        case .constant: break
        case .step(let epochs, let factor):
            guard epochs >= 1 else { throw .outOfRange(what: "epochs of a step schedule", allowed: "at least 1", found: "\(epochs)") }
            guard factor > 0, factor <= 1 else { throw .outOfRange(what: "factor of a step schedule", allowed: "0 < factor ≤ 1", found: "\(factor)") }
        case .cosine(let floor):
            guard floor >= 0, floor <= 1 else { throw .outOfRange(what: "floor of a cosine schedule", allowed: "0…1", found: "\(floor)") }
        }
    }

    /// The factor at `step` of `totalSteps`, counted from 0.
    public func factor(step: Int, totalSteps: Int, stepsPerEpoch: Int) -> Double {
        if step < warmUpSteps { return Double(step + 1) / Double(warmUpSteps) }
        switch decay {
        case .constant: return 1
        case .step(let epochs, let factor): return pow(factor, Double(step / max(1, stepsPerEpoch * epochs)))
        case .cosine(let floor):
            let progress = Double(step - warmUpSteps) / Double(max(1, totalSteps - warmUpSteps))
            return floor + (1 - floor) * 0.5 * (1 + cos(Double.pi * min(1, progress)))
        }
    }
}
