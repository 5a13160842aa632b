import CompactNumerics
import Foundation
import Synchronization
import Testing

/// Callers that want different numbers of threads at the same time: what is noted is what the library was told last.
@Suite struct BLASThreadCountTests {
    @Test func whatIsNotedWasToldLast() {
        let told = Mutex(0), calls = Atomic<Int>(0)
        let count = BLASThreadCount { threads in
            calls.add(1, ordering: .relaxed)
            // As a library that waits for its threads, before and behind.
            if threads == 2 { usleep(50) }
            told.withLock { $0 = threads }
            if threads == 3 { usleep(50) }
        }
        for _ in 0..<200 {
            DispatchQueue.concurrentPerform(iterations: 4) { caller in
                for round in 0..<4 { count.use(1 + (caller + round) % 3) }
            }
            #expect(count.current == told.withLock { $0 })
        }
        let before = calls.load(ordering: .relaxed)
        for _ in 0..<100 { count.use(count.current) }
        #expect(calls.load(ordering: .relaxed) == before && before >= 3)
    }
}
