import CKernels
import CPeaks
import CompactNumerics
import Foundation

/// What this machine can do at most, measured by loops that do nothing else.
struct Peaks {
    /// float32 multiply-adds, operations per second.
    let float32: Double
    /// int8 products widened to int32 at once (W8), by VNNI where the kernels have it.
    let int8: Double
    /// int8 products summed in int16 and widened once in eight (W4, W2).
    let int8Folded: Double
    /// Sums of four 1-bit products looked up and added as bytes (W1).
    let lookup: Double
    /// Bytes per second that can be read from a buffer of the given size, by size.
    private let readBandwidths: [(bytes: Int, bandwidth: Double)]

    static let bufferSizes = [16 << 10, 256 << 10, 4 << 20, 16 << 20, 128 << 20]

    init(parallelism: Parallelism, progress: Progress? = nil) {
        func operations(_ name: String, _ loop: @escaping @Sendable (Int) -> Double) -> Double {
            progress?.show(name)
            let count = 4_000_000  // some ten milliseconds: waking a second thread may take one
            let seconds = medianSeconds(
                [
                    TimedCall(name: name) {
                        parallelism.forEachThread { _ in _ = loop(count) }
                    }
                ], seconds: 0.1)[0]
            return loop(count) * Double(parallelism.threads) / seconds
        }
        float32 = operations("float32 peak", peak_float32_operations)
        let hasVNNI: Int32 = ck_active_kernels().pointee.isa == ck_isa_avx512 ? 1 : 0
        int8 = operations("int8 peak") { peak_int8_operations($0, hasVNNI) }
        int8Folded = operations("int8 peak, folded", peak_int8_folded_operations)
        lookup = operations("lookup peak", peak_lookup_operations)
        readBandwidths = Self.bufferSizes.map { bytes in
            progress?.show("read bandwidth, \(byteText(bytes))")
            return (bytes, Self.readBandwidth(bytes: bytes, parallelism: parallelism))
        }
        progress?.clear()
    }

    private static func readBandwidth(bytes: Int, parallelism: Parallelism) -> Double {
        let buffer = AlignedBuffer<UInt8>(count: bytes)
        return buffer.withUnsafeBufferPointer { memory in
            nonisolated(unsafe) let start = UnsafeRawPointer(memory.baseAddress!)
            // Each thread reads its share, as threads that split a matrix do.
            let share = bytes / parallelism.threads / 512 * 512, passes = max(1, (1 << 20) / bytes)
            let seconds = medianSeconds(
                [
                    TimedCall(name: "read") {
                        parallelism.forEachThread { thread in
                            for _ in 0..<passes { _ = peak_read_bytes(start + thread * share, share) }
                        }
                    }
                ], seconds: 0.1)[0]
            return Double(share * parallelism.threads * passes) / seconds
        }
    }

    /// Bytes per second for data of `bytes` bytes that is read again and again: interpolated between the sizes measured.
    func readBandwidth(bytes: Int) -> Double {
        guard let above = readBandwidths.firstIndex(where: { $0.bytes >= bytes }) else { return readBandwidths.last!.bandwidth }
        guard above > 0 else { return readBandwidths[0].bandwidth }
        let (low, high) = (readBandwidths[above - 1], readBandwidths[above])
        let place = log(Double(bytes) / Double(low.bytes)) / log(Double(high.bytes) / Double(low.bytes))
        return low.bandwidth * pow(high.bandwidth / low.bandwidth, place)
    }

    /// The rows of `Benchmarks roofline`.
    var table: [(name: String, figure: Double, unit: String)] {
        [
            ("float32 multiply-add", float32 / 1e9, "GOP/s"),
            ("int8 products, exact", int8 / 1e9, "GOP/s"),
            ("int8 products, folded in int16", int8Folded / 1e9, "GOP/s"),
            ("1-bit products, looked up in fours", lookup / 1e9, "GOP/s"),
        ] + readBandwidths.map { ("read, buffer of \(byteText($0.bytes))", $0.bandwidth / 1e9, "GB/s") }
    }
}

extension MachineDescription {
    init(parallelism: Parallelism) {
        var name = [CChar](repeating: 0, count: 64)
        ck_cpu_name(&name, name.count)
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
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
        print("")
    }
}

extension Parallelism {
    /// Calls `body` with 0, 1, … on `threads` threads at once.
    func forEachThread(_ body: @Sendable (Int) -> Void) {
        if threads == 1 { body(0) } else { DispatchQueue.concurrentPerform(iterations: threads, execute: body) }
    }
}
