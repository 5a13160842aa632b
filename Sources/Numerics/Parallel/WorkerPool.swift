internal import CKernels
internal import Dispatch
internal import Foundation
internal import Synchronization

/// Threads that wait for the next product: first awake, so that layers of some microseconds one after the other can share them, then asleep.
/// Waking a thread takes 20 to 50 µs, as long as many a layer.
///
/// The caller never waits for a thread that has not begun: what is left of the work it does itself, and it takes the job back.
internal final class WorkerPool: Sendable {
    static let shared = WorkerPool(workers: ProcessInfo.processInfo.activeProcessorCount - 1)

    private let workers: [Worker]
    private let isTaken = Atomic<Bool>(false)

    init(workers count: Int) {
        workers = (0..<max(0, count)).map { _ in Worker() }
    }

    /// Calls `body(0)` on the calling thread and meanwhile, on at most `threads` − 1 others, `body(1)`, `body(2)`, …; returns when all that have
    /// begun have ended. Some or all of the others may not be called: `body(0)` alone has to do everything that is to be done.
    ///
    /// - Returns: false, with nothing done, if the pool serves another call.
    func run(threads: Int, _ body: @Sendable (Int) -> Void) -> Bool {
        guard isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else { return false }
        defer { isTaken.store(false, ordering: .releasing) }
        withoutActuallyEscaping(body) { body in
            let helpers = workers.prefix(threads - 1)
            for (index, worker) in helpers.enumerated() { worker.post { body(index + 1) } }
            body(0)
            for worker in helpers { worker.finish() }
        }
        return true
    }
}

/// One thread, started with the first job.
private final class Worker: Sendable {
    private enum State {
        static let idle = 0, asleep = 1, posted = 2, running = 3
    }

    private let state = Atomic<Int>(State.idle)
    private let isStarted = Atomic<Bool>(false)
    private let bell = DispatchSemaphore(value: 0)
    // Written by the caller before `posted`, read by the thread behind `running`, cleared by the caller when the state is idle again.
    nonisolated(unsafe) private var job: (@Sendable () -> Void)?

    /// How long a thread stays awake without a job.
    private static let awakeNanoseconds: UInt64 = 50_000

    func post(_ job: @escaping @Sendable () -> Void) {
        if !isStarted.exchange(true, ordering: .relaxed) { start() }
        self.job = job
        if state.exchange(State.posted, ordering: .acquiringAndReleasing) == State.asleep { bell.signal() }
    }

    private func start() {
        let thread = Thread { self.work() }
        // Apple's systems give threads of a low class to the efficiency cores, and callers wait for parts that are under way.
        thread.qualityOfService = .userInitiated
        thread.start()
    }

    /// Takes the job back if the thread has not begun it, else waits for its end.
    func finish() {
        var spins = 0
        if !state.compareExchange(expected: State.posted, desired: State.idle, ordering: .acquiringAndReleasing).exchanged {
            while state.load(ordering: .acquiring) == State.running { pause(&spins) }
        }
        job = nil
    }

    private func work() -> Never {
        while true {
            waitForJob()
            runJob()
            state.store(State.idle, ordering: .releasing)
        }
    }

    // A function of its own, so that nothing of the job is held when the caller learns that it has ended: it may not outlive the call.
    @inline(never) private func runJob() { job?() }

    /// Returns in the state `running`.
    private func waitForJob() {
        var start = DispatchTime.now().uptimeNanoseconds, turns = 0
        while !state.compareExchange(expected: State.posted, desired: State.running, ordering: .acquiringAndReleasing).exchanged {
            for _ in 0..<16 where state.load(ordering: .relaxed) != State.posted { ck_pause() }
            turns += 1
            guard turns % 4 == 0, DispatchTime.now().uptimeNanoseconds - start > Self.awakeNanoseconds else { continue }
            if state.compareExchange(expected: State.idle, desired: State.asleep, ordering: .acquiringAndReleasing).exchanged {
                bell.wait()  // whoever posts the next job rings, and may have taken it back since
                start = DispatchTime.now().uptimeNanoseconds
            }
        }
    }
}

/// For loops that wait for another thread: some microseconds without a system call, then lets others have the core.
internal func pause(_ spins: inout Int) {
    spins &+= 1
    if spins > 2_000 { sched_yield() } else { ck_pause() }
}
