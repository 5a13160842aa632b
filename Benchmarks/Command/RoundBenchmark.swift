import ArgumentParser
import CKernels
import CompactNumerics
import Foundation

struct Round: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rounding of float32 to FP16, BF16 and TF32, and back, against memcpy.",
        discussion: "GB/s counts bytes read and written. Rounding is bit-exact: to nearest, ties to even, subnormals and NaNs kept.")

    @OptionGroup var shared: SharedOptions

    @Option(help: ArgumentHelp("Numbers to round.", valueName: "count"))
    var elements = 1 << 24

    func run() throws {
        try shared.check()
        guard (1...Shape.maximumElements).contains(elements) else {
            throw BenchmarkError("--elements: expected 1…\(Shape.maximumElements), found \(elements)")
        }
        try shared.withReport { report in Self.measure(elements: elements, shared, report) }
    }

    static func table() -> Table {
        Table([("numbers", 12), ("operation", 12), ("time", 10), ("GB/s", 8), ("of memcpy", 9)])
    }

    static func measure(elements: Int, _ shared: SharedOptions, _ report: Report) {
        let progress = Progress("rounding")
        progress.show("making data")
        var random = RandomNumbers(seed: 2)
        let source = random.gaussianMatrix(rows: 1, columns: elements, deviation: 1)
        let buffers = RoundingBuffers(source)
        let calls = buffers.calls(shared.parallelism)
        let times = timings(calls.map { $0.call }, seconds: shared.seconds, progress: progress)
        progress.clear()
        let table = table()
        let memcpyRate = Double(calls[0].bytes * elements) / times[0].seconds
        for (call, time) in zip(calls, times) {
            let rate = Double(call.bytes * elements) / time.seconds
            table.row(["\(elements)", call.call.name, duration(time.seconds), fixed(rate / 1e9, 1), fixed(rate / memcpyRate, 2)])
            report.add(
                Measurement(case: "\(elements)", name: call.call.name, figure: rate / 1e9, unit: "GB/s", timing: time))
        }
    }
}

/// Source and destinations of the roundings. Threads take ranges of elements.
private final class RoundingBuffers {
    private let source: Matrix
    private let floats: AlignedBuffer<Float>
    private let halves: AlignedBuffer<UInt16>

    init(_ source: Matrix) {
        self.source = source
        floats = AlignedBuffer(count: source.count)
        halves = AlignedBuffer(count: source.count)
    }

    /// Each call with the bytes that it reads and writes per element.
    func calls(_ parallelism: Parallelism) -> [(call: TimedCall, bytes: Int)] {
        nonisolated(unsafe) let kernels = ck_active_kernels().pointee
        let count = source.count
        nonisolated(unsafe) let from = source.withUnsafeBufferPointer { $0.baseAddress! }
        nonisolated(unsafe) let floats = floats.withUnsafeBufferPointer { UnsafeMutablePointer(mutating: $0.baseAddress!) }
        nonisolated(unsafe) let halves = halves.withUnsafeBufferPointer { UnsafeMutablePointer(mutating: $0.baseAddress!) }
        func split(_ name: String, _ bytes: Int, _ body: @escaping @Sendable (Int, Int) -> Void) -> (TimedCall, Int) {
            // The buffers live as long as the closure that keeps self.
            let call = TimedCall(name: name) { [self] in
                withExtendedLifetime(self) {
                    let share = (count + parallelism.threads - 1) / parallelism.threads
                    parallelism.forEachThread { thread in
                        let start = min(count, thread * share)
                        body(start, min(share, count - start))
                    }
                }
            }
            return (call, bytes)
        }
        return [
            split("memcpy", 8) { start, count in memcpy(floats + start, from + start, 4 * count) },
            split("f32-to-f16", 6) { start, count in kernels.round_f16_f32(from + start, halves + start, count) },
            split("f16-to-f32", 6) { start, count in kernels.widen_f32_f16(halves + start, floats + start, count) },
            split("f32-to-bf16", 6) { start, count in kernels.round_bf16_f32(from + start, halves + start, count) },
            split("bf16-to-f32", 6) { start, count in kernels.widen_f32_bf16(halves + start, floats + start, count) },
            split("f32-to-tf32", 8) { start, count in kernels.round_tf32_even_f32(from + start, floats + start, count) },
        ]
    }
}
