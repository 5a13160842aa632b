internal import CKernels

/// IEEE 754 binary16: 1 sign, 5 exponent and 10 significand bits; largest finite number 65,504, smallest normal 2⁻¹⁴,
/// smallest subnormal 2⁻²⁴.
///
/// Swift's own `Float16` does not exist on macOS for x86-64.
public struct FP16: ReducedFloat {
    public let bitPattern: UInt16

    public init(bitPattern: UInt16) {
        self.bitPattern = bitPattern
    }

    public init(_ value: Float) {
        bitPattern = ck_f16_from_f32(value)
    }

    public var floatValue: Float { ck_f32_from_f16(bitPattern) }
}

extension FP16 {
    /// destination[i] = FP16(source[i]), by the fastest kernel of this machine.
    ///
    /// - Precondition: both have the same count.
    public static func round(_ source: Span<Float>, into destination: inout MutableSpan<FP16>) {
        requireEqualCounts(source.count, destination.count)
        source.withUnsafeBufferPointer { from in
            destination.withUnsafeMutableBufferPointer { to in
                guard let from = from.baseAddress, let target = to.baseAddress else { return }
                // The struct is its one UInt16, so the memory has the same layout.
                target.withMemoryRebound(to: UInt16.self, capacity: to.count) { bits in
                    ck_active_kernels().pointee.round_f16_f32(from, bits, to.count)
                }
            }
        }
    }

    /// destination[i] = Float(source[i]), by the fastest kernel of this machine.
    ///
    /// - Precondition: both have the same count.
    public static func widen(_ source: Span<FP16>, into destination: inout MutableSpan<Float>) {
        requireEqualCounts(source.count, destination.count)
        source.withUnsafeBufferPointer { from in
            destination.withUnsafeMutableBufferPointer { to in
                guard let first = from.baseAddress, let to = to.baseAddress else { return }
                first.withMemoryRebound(to: UInt16.self, capacity: from.count) { bits in
                    ck_active_kernels().pointee.widen_f32_f16(bits, to, from.count)
                }
            }
        }
    }
}
