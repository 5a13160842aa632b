import CompactNumerics
import Foundation

/// Which instruction set the float32 baseline runs, by the name of the core that OpenBLAS chose its kernels for.
struct BLASKernels {
    /// As OpenBLAS spells it; nil for other libraries.
    let core: String?
    /// The sets that this machine has.
    let available: [String]
    /// Whether OPENBLAS_CORETYPE is set.
    let isForced: Bool
    /// Whether the library is Accelerate, which multiplies on a matrix unit apart (AMX, SME) where the processor has one.
    var isAccelerate = false

    /// The name that stands for that unit, for which there are no loops: plain C is compared with.
    static let accelerate = "accelerate"

    static let inUse = BLASKernels(
        core: BLASLibrary.core, available: InstructionSet.available.map(\.name),
        isForced: ProcessInfo.processInfo.environment["OPENBLAS_CORETYPE"].map { !$0.isEmpty } ?? false,
        isAccelerate: BLASLibrary.description == "Accelerate")

    /// The set whose multiply-adds limit the baseline. Cores before AVX2 are compared with plain C, which has SSE2 as they do; libraries that do
    /// not tell with the widest registers of this machine.
    var set: String {
        if isAccelerate { return Self.accelerate }
        guard let core else { return best }
        return known(BLASLibrary.set(ofCore: core) ?? "portable")
    }

    private var best: String { available.contains("avx512") ? "avx512" : known("avx2") }
    private func known(_ set: String) -> String { available.contains(set) ? set : "portable" }

    /// Lines for a baseline that is slower than this machine's could be; nil for an honest one.
    var warning: String? {
        guard let core, set != best else { return nil }
        let why =
            isForced
            ? "OPENBLAS_CORETYPE is set: without it OpenBLAS chooses for itself"
            : "this OpenBLAS does not know the processor; OPENBLAS_CORETYPE=\(best == "avx512" ? "SkylakeX" : "Haswell") chooses newer ones"
        return """
            WARNING: float32 runs OpenBLAS kernels for \(core) (\(set)), while this processor has \(best). The ratios to float32 below flatter:
            \(why).
            """
    }
}
