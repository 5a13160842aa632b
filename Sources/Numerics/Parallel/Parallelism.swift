internal import Dispatch
internal import Foundation

/// How many threads an operation may use at once. Results are the same bits for every number of threads.
public struct Parallelism: Sendable, Hashable {
    /// The largest number of threads at work at the same time, the calling one included.
    public let threads: Int

    /// At most `threads` threads.
    ///
    /// - Precondition: `threads` ≥ 1.
    public init(threads: Int) {
        precondition(threads >= 1, "threads: expected at least 1, found \(threads)")
        self.threads = threads
    }

    /// The calling thread alone.
    public static let serial = Parallelism(threads: 1)

    /// One thread for each logical processor that this process may use.
    public static var allCores: Parallelism {
        Parallelism(threads: max(1, ProcessInfo.processInfo.activeProcessorCount))
    }

    /// The contiguous ranges into which 0..<count is split: at most `threads`, none empty, inner bounds multiples of
    /// `multiple`, and lengths that differ by at most one `multiple` (the last may be shorter by the remainder).
    package func ranges(count: Int, multiple: Int) -> [Range<Int>] {
        precondition(count >= 0 && multiple >= 1, "ranges: expected count ≥ 0 and multiple ≥ 1, found \(count) and \(multiple)")
        let units = count / multiple + (count % multiple == 0 ? 0 : 1)
        let parts = min(threads, units)
        guard parts > 0 else { return [] }
        // The first `units % parts` ranges have one unit more. `units · multiple` may exceed Int.max, the clamped bound not.
        let (share, extra) = units.quotientAndRemainder(dividingBy: parts)
        return (0..<parts).map { part in
            let first = part * share + min(part, extra)
            let last = first + share + (part < extra ? 1 : 0)
            return first * multiple..<(last == units ? count : last * multiple)
        }
    }

    /// Calls `body` once for each of `ranges(count:multiple:)`, on different threads, and returns when all have ended.
    /// With one range, `body` runs on the calling thread.
    package func forEachRange(count: Int, multiple: Int = 1, _ body: @Sendable (Range<Int>) -> Void) {
        if threads == 1 {
            if count > 0 { body(0..<count) }
            return
        }
        let ranges = ranges(count: count, multiple: multiple)
        if ranges.count <= 1 {
            ranges.first.map(body)
        } else {
            DispatchQueue.concurrentPerform(iterations: ranges.count) { body(ranges[$0]) }
        }
    }
}
