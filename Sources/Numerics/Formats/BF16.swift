internal import CKernels

/// bfloat16: the upper half of float32, 1 sign, 8 exponent and 7 significand bits. The range is that of float32, the
/// precision between two and three decimal digits.
public struct BF16: ReducedFloat {
    public let bitPattern: UInt16

    public init(bitPattern: UInt16) {
        self.bitPattern = bitPattern
    }

    public init(_ value: Float) {
        bitPattern = ck_bf16_from_f32(value)
    }

    public var floatValue: Float { ck_f32_from_bf16(bitPattern) }
}

extension BF16 {
    /// destination[i] = BF16(source[i]), by the fastest kernel of this machine.
    ///
    /// - Precondition: both have the same count.
    public static func round(_ source: Span<Float>, into destination: inout MutableSpan<BF16>) {
        requireEqualCounts(source.count, destination.count)
        source.withUnsafeBufferPointer { from in
            destination.withUnsafeMutableBufferPointer { to in
                guard let from = from.baseAddress, let target = to.baseAddress else { return }
                // The struct is its one UInt16, so the memory has the same layout.
                target.withMemoryRebound(to: UInt16.self, capacity: to.count) { bits in
                    ck_active_kernels().pointee.round_bf16_f32(from, bits, to.count)
                }
            }
        }
    }

    /// destination[i] = Float(source[i]), by the fastest kernel of this machine.
    ///
    /// - Precondition: both have the same count.
    public static func widen(_ source: Span<BF16>, into destination: inout MutableSpan<Float>) {
        requireEqualCounts(source.count, destination.count)
        source.withUnsafeBufferPointer { from in
            destination.withUnsafeMutableBufferPointer { to in
                guard let first = from.baseAddress, let to = to.baseAddress else { return }
                first.withMemoryRebound(to: UInt16.self, capacity: from.count) { bits in
                    ck_active_kernels().pointee.widen_f32_bf16(bits, to, from.count)
                }
            }
        }
    }
}
