import CKernels
import CompactNumerics
import Foundation

extension MachineDescription {
    init(parallelism: Parallelism) {
        var name = [CChar](repeating: 0, count: 64)
        ck_cpu_name(&name, name.count)
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
        cpu = text.isEmpty ? "unknown processor" : text
        isa = String(cString: ck_isa_name(ck_active_kernels().pointee.isa))
        blas = BLASLibrary.description
        threads = parallelism.threads
    }

    /// Prints what is measured on what, and warns of a baseline that is none.
    func printHeader() {
        print("\(cpu), kernels: \(isa), float32: \(blas), \(threads) thread\(threads == 1 ? "" : "s")")
        if BLASLibrary.isReference {
            print(
                """
                WARNING: this BLAS is the unoptimized reference library, tens of times slower than a good one. The ratios to float32
                below say nothing. Install OpenBLAS (apt-get install libopenblas0-pthread) and run again.
                """)
        }
        if let warning = BLASKernels.inUse.warning { print(warning) }
        print("")
    }
}

extension Parallelism {
    /// Calls `body` with 0, 1, … on `threads` threads at once.
    func forEachThread(_ body: @Sendable (Int) -> Void) {
        if threads == 1 { body(0) } else { DispatchQueue.concurrentPerform(iterations: threads, execute: body) }
    }
}
