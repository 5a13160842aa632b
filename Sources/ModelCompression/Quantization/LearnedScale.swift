internal import CompactNumerics
internal import Foundation

/// Scales that quantization-aware training learns in the logarithm.
internal enum LearnedScale {
    /// The logarithm of the smallest normal number: no scale yet, since all numbers so far were 0. It keeps the codes of zeros 0, has no gradient, and
    /// is stored in checkpoints as any other.
    static let none = logarithm(of: .leastNormalMagnitude)

    /// A logarithm is rounded to 2⁻¹⁸ at the sizes that scales have, so a scale has 14 significant bits: then it comes back exactly, and numbers
    /// times 2ᵏ begin with scales times 2ᵏ and the same codes.
    static func scale(ofLogarithm logarithm: Float) -> Float {
        rounded(max(.leastNormalMagnitude, min(0x1p+126, exp(logarithm))))
    }

    /// 0 has that of the smallest normal number.
    static func logarithm(of scale: Float) -> Float {
        Float(log(Double(rounded(max(.leastNormalMagnitude, min(0x1p+126, scale))))))
    }

    /// For weights that were 0 until now and begin to move, `scale` being that of their first step: large enough for what they will become, weights
    /// [N, K] of deviation 1 / √K (LeCun et al. 1998), by LSQ's own first scale 2 · mean |w| / √(highest code) (arXiv:1902.08153).
    static func logarithm(ofFirst scale: Float, columns: Int, _ format: WeightFormat) -> Float {
        let meanMagnitude = (2 / Float.pi / Float(columns)).squareRoot()  // of such a Gaussian
        return logarithm(of: max(scale, 2 * meanMagnitude / Float(max(1, format.codes.upperBound)).squareRoot()))
    }

    /// For inputs that were 0 until now, the largest magnitude of which is `reach`: room for four deviations of numbers of deviation 1.
    static func logarithm(ofFirstInputs reach: Float, highest: Int) -> Float {
        reach > 0 && reach.isFinite ? logarithm(of: max(reach, 4) / Float(highest / 2)) : none
    }

    // To nearest, ties to even.
    private static func rounded(_ scale: Float) -> Float {
        let bits = scale.bitPattern
        return Float(bitPattern: (bits + 0x1FF + (bits >> 10 & 1)) & ~0x3FF)
    }
}
