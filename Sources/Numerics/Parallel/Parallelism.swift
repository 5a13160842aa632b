internal import CKernels
internal import Dispatch
internal import Foundation
internal import Synchronization

/// How many threads an operation may use at once. Results are the same bits for every number of threads.
public struct Parallelism: Sendable, Hashable {
    /// The largest number of threads at work at the same time, the calling one included.
    public let threads: Int

    /// Whether work is cut even where the calling thread alone is done sooner: for tests.
    private let cutsSmallWork: Bool

    /// At most `threads` threads. Products of a few microseconds stay on the calling one.
    ///
    /// - Precondition: `threads` ≥ 1.
    public init(threads: Int) {
        self.init(threads: threads, cutsSmallWork: false)
    }

    package init(threads: Int, cutsSmallWork: Bool) {
        trapUnless(threads >= 1, "threads: expected at least 1, found \(threads)")
        self.threads = threads
        self.cutsSmallWork = cutsSmallWork
    }

    /// For a product of so many multiply–adds: one thread where handing out parts (1 to 2 µs) takes as long as the parts.
    package func suited(toMultiplyAdds count: Int) -> Parallelism {
        count < 1 << 18 && !cutsSmallWork ? .serial : self
    }

    /// The calling thread alone.
    public static let serial = Parallelism(threads: 1)

    /// One thread for each logical processor that this process may use; of processors of several kinds for the fast ones alone: Apple's performance cores,
    /// on Linux those that the system rates at half of the fastest one or more. The others would take longer for a part than the fast ones for the rest.
    public static var allCores: Parallelism {
        let processors = ProcessInfo.processInfo.activeProcessorCount, fast = Int(ck_fast_cores())
        return Parallelism(threads: max(1, fast > 0 ? min(fast, processors) : processors))
    }

    /// The contiguous ranges into which 0..<count is split: at most `threads`, none empty, inner bounds multiples of
    /// `multiple`, and lengths that differ by at most one `multiple` (the last may be shorter by the remainder).
    package func ranges(count: Int, multiple: Int) -> [Range<Int>] {
        trapUnless(count >= 0 && multiple >= 1, "ranges: expected count ≥ 0 and multiple ≥ 1, found \(count) and \(multiple)")
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

    /// The ranges that `forEachPart` hands out one after the other: all in one for one thread, else four for each thread, so that they end together.
    package func parts(count: Int, multiple: Int) -> [Range<Int>] {
        threads == 1 ? self.ranges(count: count, multiple: multiple) : Parallelism(threads: 4 * threads).ranges(count: count, multiple: multiple)
    }

    /// Calls `body` once for each of `ranges(count:multiple:)` and returns when all have ended. With one range, `body` runs on the calling
    /// thread.
    package func forEachRange(count: Int, multiple: Int = 1, _ body: @Sendable (Range<Int>) -> Void) {
        if threads == 1 {
            if count > 0 { body(0..<count) }
            return
        }
        let ranges = ranges(count: count, multiple: multiple)
        forEachPart(ofStages: [ranges.count]) { _, part, _ in body(ranges[part]) }
    }

    /// Calls `body(stage, part, thread)` for each part 0..<counts[stage] of each stage. No part of a stage begins before all parts of the
    /// stage before have ended. Each thread has a share of neighbouring parts, the same in every call, so that what it wrote the last time is in
    /// its own cache; whoever is done with its share goes on with the others', so a thread that wakes up late or shares its core costs no
    /// more than what it has begun. `thread` is in 0..<threads, 0 for the calling one, and no two parts at a time have the same.
    package func forEachPart(ofStages counts: [Int], _ body: @Sendable (_ stage: Int, _ part: Int, _ thread: Int) -> Void) {
        if threads == 1 {
            for (stage, count) in counts.enumerated() {
                for part in 0..<count { body(stage, part, 0) }
            }
            return
        }
        let workers = min(threads, counts.max() ?? 0)
        let progress = counts.map { StageProgress(count: $0, shares: workers) }
        @Sendable func work(_ thread: Int) {
            for (stage, progress) in progress.enumerated() {
                while let part = progress.claim(first: thread) {
                    body(stage, part, thread)
                    progress.finish()
                }
                progress.wait()
            }
        }
        if workers <= 1 {
            work(0)
        } else if !WorkerPool.shared.run(threads: workers, work) {
            Self.runOnDispatch(threads: workers, work)
        }
    }

    /// For callers that find the pool at work for another one.
    private static func runOnDispatch(threads: Int, _ work: @Sendable (Int) -> Void) {
        let caller = currentThread(), helpers = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            let thread = currentThread() == caller ? 0 : helpers.add(1, ordering: .relaxed).newValue
            if thread < threads { work(thread) }  // a helper comes again only when all is done
        }
    }
}

/// A number for this thread: what pthread_t is on Linux, the address that it is on Apple's systems.
package func currentThread() -> UInt {
    withUnsafeBytes(of: pthread_self()) { $0.load(as: UInt.self) }
}

/// Which parts of a stage are taken, and how many have ended.
private final class StageProgress: Sendable {
    private let count: Int
    private let shares: [Share]
    private let ended = Atomic<Int>(0)

    private final class Share: Sendable {
        let parts: Range<Int>
        let claimed = Atomic<Int>(0)

        init(_ parts: Range<Int>) { self.parts = parts }
    }

    init(count: Int, shares: Int) {
        self.count = count
        self.shares = (0..<shares).map { Share(count * $0 / shares..<count * ($0 + 1) / shares) }
    }

    /// A part of the share `first`, or else of the next ones; nil when all are taken.
    func claim(first: Int) -> Int? {
        for offset in shares.indices {
            let share = shares[(first + offset) % shares.count]
            let part = share.parts.lowerBound + share.claimed.add(1, ordering: .relaxed).oldValue
            if part < share.parts.upperBound { return part }
        }
        return nil
    }

    func finish() { ended.add(1, ordering: .releasing) }

    /// Returns when all parts have ended. Whoever has claimed one is at work on it, so this takes no longer than a part; it spins for
    /// some microseconds and then lets others have the core.
    func wait() {
        var spins = 0
        while ended.load(ordering: .acquiring) < count { pause(&spins) }
    }
}
