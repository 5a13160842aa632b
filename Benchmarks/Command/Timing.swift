import Foundation

/// One thing to time.
struct TimedCall {
    let name: String
    let body: () -> Void
}

/// Seconds since an arbitrary start, never going back.
func now() -> Double {
    Double(DispatchTime.now().uptimeNanoseconds) * 1e-9
}

func median(_ values: [Double]) -> Double {
    precondition(!values.isEmpty)
    let sorted = values.sorted(), middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The times of one call.
struct Timing {
    /// Seconds of each run, a list for each turn.
    let turns: [[Double]]

    /// Seconds of the median run of all turns.
    let seconds: Double

    init(turns: [[Double]]) {
        self.turns = turns
        seconds = median(turns.flatMap { $0 })
    }

    /// What a report keeps: of each turn at most 20 runs, evenly spread, to a tenth of a nanosecond.
    var samples: [[Double]] {
        turns.map { turn in
            let count = min(turn.count, 20)
            return (0..<count).map { (turn[$0 * turn.count / count] * 1e10).rounded() / 1e10 }
        }
    }
}

/// Times of each call, measured in turn (A B C A B C …), so that a machine that slows down slows all of them.
///
/// A turn of a call is one run that is not counted, which brings its data into the caches again, and then counted runs for a few
/// milliseconds. Turns go on until each call has been timed for `seconds` and at least in `turns` turns.
///
/// With several `threads` each turn waits until the threads of the call before sleep: those of OpenBLAS go on spinning for tens of
/// milliseconds, on the cores that the next call needs.
func timings(
    _ calls: [TimedCall], seconds: Double = 0.3, turns: Int = 5, threads: Int = 1, progress: Progress? = nil
) -> [Timing] {
    var samples = [[[Double]]](repeating: [], count: calls.count)
    let turnSeconds = seconds / Double(turns)
    for turn in 0..<turns {
        for (index, call) in calls.enumerated() {
            progress?.show("\(call.name) (\(turn + 1)/\(turns))")
            if threads > 1 { waitForIdleThreads() }
            samples[index].append(sampleTurn(call, seconds: turnSeconds))
        }
    }
    return samples.map(Timing.init(turns:))
}

/// Median seconds of each call, measured as `timings` does.
func medianSeconds(
    _ calls: [TimedCall], seconds: Double = 0.3, turns: Int = 5, threads: Int = 1, progress: Progress? = nil
) -> [Double] {
    timings(calls, seconds: seconds, turns: turns, threads: threads, progress: progress).map(\.seconds)
}

/// Returns when the process has used next to no processor time for 10 ms, or after a second.
private func waitForIdleThreads() {
    let start = now()
    var used = processorSeconds()
    repeat {
        Thread.sleep(forTimeInterval: 0.01)
        let before = used
        used = processorSeconds()
        if used - before < 0.001 { return }
    } while now() - start < 1
}

/// Seconds that all threads of this process have run.
private func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

private func sampleTurn(_ call: TimedCall, seconds: Double) -> [Double] {
    let warmUp = now()
    call.body()
    // Calls of less than 20 µs are timed several at once: the clock and the closure cost some 50 ns.
    let repeats = max(1, min(1000, Int(20e-6 / max(now() - warmUp, 20e-9))))
    var samples: [Double] = []
    let start = now()
    repeat {
        let begin = now()
        for _ in 0..<repeats { call.body() }
        samples.append((now() - begin) / Double(repeats))
    } while now() - start < seconds && samples.count < 1000
    return samples
}

/// What is being measured, on a terminal's last line; nothing where standard error is no terminal.
final class Progress {
    private let isTerminal = isatty(STDERR_FILENO) != 0
    private let prefix: String

    init(_ prefix: String) {
        self.prefix = prefix
    }

    func show(_ text: String) {
        guard isTerminal else { return }
        write("\r\u{1B}[K\(prefix): \(text)")
    }

    func clear() {
        guard isTerminal else { return }
        write("\r\u{1B}[K")
    }

    private func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}
