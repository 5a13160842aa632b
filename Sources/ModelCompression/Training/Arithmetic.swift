internal import CKernels

/// The number format that a training step computes in. Products are sums in float32 of rounded factors, as tensor cores do; master
/// weights and optimizer state stay float32 (Micikevicius et al. 2018, arXiv:1710.03740).
public enum Arithmetic: String, Sendable, Hashable, Codable, CaseIterable {
    case float32
    /// IEEE binary16: small gradients vanish below 2⁻²⁵ unless the loss is scaled.
    case fp16
    case bf16
    /// To nearest, ties to even.
    case tf32

    /// Rounds every element of `tensor` in place, to nearest, ties to even, as `FP16`, `BF16` and `TF32` do.
    public func round(_ tensor: Tensor) {
        round(from: tensor.pointer, to: tensor.pointer, count: tensor.count)
    }

    /// destination[i] = source[i] rounded; the two are the same memory or do not overlap.
    internal func round(from source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>, count: Int) {
        let kernels = ck_active_kernels().pointee
        switch self {
        case .float32:
            if UnsafePointer(destination) != source { destination.update(from: source, count: count) }
        case .tf32: kernels.round_tf32_even_f32(source, destination, count)
        case .fp16: narrow(source, destination, count, kernels.round_f16_f32, kernels.widen_f32_f16)
        case .bf16: narrow(source, destination, count, kernels.round_bf16_f32, kernels.widen_f32_bf16)
        }
    }

    // In pieces that stay in the L1 cache.
    private func narrow(
        _ source: UnsafePointer<Float>, _ destination: UnsafeMutablePointer<Float>, _ count: Int,
        _ round: (UnsafePointer<Float>, UnsafeMutablePointer<UInt16>, Int) -> Void,
        _ widen: (UnsafePointer<UInt16>, UnsafeMutablePointer<Float>, Int) -> Void
    ) {
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 2048) { scratch in
            let bits = scratch.baseAddress!
            var done = 0
            while done < count {
                let part = min(2048, count - done)
                round(source + done, bits, part)
                widen(bits, destination + done, part)
                done += part
            }
        }
    }
}
