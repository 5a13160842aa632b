/// A factor on the loss that keeps small gradients from vanishing in FP16 (Micikevicius et al. 2018, arXiv:1710.03740); gradients are
/// divided by it before the optimizer sees them.
public enum LossScaling: Sendable, Hashable, Codable {
    case none
    /// A power of two divides exactly.
    case fixed(Float)
    /// Begins at 65,536; a step with NaN or infinite gradients is skipped and halves it, 2,000 good steps in a row double it.
    case dynamic

    /// - Throws: `CompressionError.outOfRange` unless a fixed scale is positive and finite.
    public func validate() throws(CompressionError) {
        if case .fixed(let scale) = self, !(scale >= .leastNormalMagnitude && scale.isFinite) {
            throw .outOfRange(what: "loss scale", allowed: "a positive, finite number", found: "\(scale)")
        }
    }
}

/// What loss scaling remembers between steps.
public struct LossScaleState: Sendable, Hashable, Codable {
    public internal(set) var scale: Float
    /// Steps since the last change.
    public internal(set) var goodSteps = 0
    /// Steps that were skipped.
    public internal(set) var skippedSteps = 0

    internal init(_ scaling: LossScaling) {
        switch scaling {
        case .none: scale = 1
        case .fixed(let fixed): scale = fixed
        case .dynamic: scale = 65_536
        }
    }

    internal mutating func didStep(_ scaling: LossScaling) {
        guard scaling == .dynamic else { return }
        goodSteps += 1
        if goodSteps == 2000 {
            // 2¹²⁷ is the largest power of two; half of it leaves room for a loss above 1.
            scale = min(scale * 2, 0x1p126)
            goodSteps = 0
        }
    }

    internal mutating func didOverflow() {
        scale /= 2
        (goodSteps, skippedSteps) = (0, skippedSteps + 1)
    }
}
