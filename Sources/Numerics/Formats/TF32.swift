internal import CKernels

/// TensorFloat-32: the range of float32 with the precision of FP16 (1 sign, 8 exponent and 10 significand bits), kept as a
/// float32 whose low 13 bits are zero.
public struct TF32: ReducedFloat {
    /// What to do with a number between two neighbours of the format.
    public enum Rounding: Sendable, Hashable, CaseIterable {
        /// To the nearer one; halfway, to the one with an even significand.
        case nearestEven
        /// To the nearer one; halfway, to the one of larger magnitude (`cvt.rna.tf32.f32` of PTX).
        case nearestAway
        /// To the one of smaller magnitude: the low bits are dropped.
        case towardZero
    }

    /// The bits of the float32; the low 13 are zero.
    public let bitPattern: UInt32

    /// - Precondition: the low 13 bits are zero.
    public init(bitPattern: UInt32) {
        trapUnless(
            bitPattern & 0x1FFF == 0,
            "TF32: expected a bit pattern whose low 13 bits are zero, found 0x\(String(bitPattern, radix: 16))")
        self.bitPattern = bitPattern
    }

    public init(_ value: Float) {
        self.init(value, rounding: .nearestEven)
    }

    /// `value` rounded as told. Infinities and NaNs are treated alike in all three modes.
    public init(_ value: Float, rounding: Rounding) {
        let rounded =
            switch rounding {
            case .nearestEven: ck_tf32_even(value)
            case .nearestAway: ck_tf32_away(value)
            case .towardZero: ck_tf32_zero(value)
            }
        self.init(bitPattern: rounded.bitPattern)
    }

    public var floatValue: Float { Float(bitPattern: bitPattern) }
}

extension TF32 {
    /// destination[i] = TF32(source[i], rounding: rounding), stored as float32, by the fastest kernel of this machine.
    ///
    /// - Precondition: both have the same count.
    public static func round(
        _ source: Span<Float>, into destination: inout MutableSpan<Float>, rounding: Rounding = .nearestEven
    ) {
        requireEqualCounts(source.count, destination.count)
        let kernels = ck_active_kernels().pointee
        source.withUnsafeBufferPointer { from in
            destination.withUnsafeMutableBufferPointer { to in
                guard let from = from.baseAddress, let target = to.baseAddress else { return }
                switch rounding {
                case .nearestEven: kernels.round_tf32_even_f32(from, target, to.count)
                case .nearestAway: kernels.round_tf32_away_f32(from, target, to.count)
                case .towardZero: kernels.round_tf32_zero_f32(from, target, to.count)
                }
            }
        }
    }
}
