import CompactNumerics
import Foundation
import Synchronization
import Testing

@Suite struct ParallelTests {
    @Test func rangesCoverEverythingOnceInMultiples() {
        for threads in 1...9 {
            for multiple in [1, 2, 4, 16] {
                for count in 0...70 {
                    let ranges = Parallelism(threads: threads).ranges(count: count, multiple: multiple)
                    #expect(ranges.flatMap { Array($0) } == Array(0..<count))
                    #expect(ranges.count <= threads && !ranges.contains(where: \.isEmpty))
                    #expect(ranges.dropFirst().allSatisfy { $0.lowerBound % multiple == 0 })
                    let units = ranges.map { ($0.count + multiple - 1) / multiple }
                    #expect((units.max() ?? 0) - (units.min() ?? 0) <= 1)
                }
            }
        }
    }

    @Test func hugeCountsDoNotOverflow() {
        let ranges = Parallelism(threads: 3).ranges(count: .max, multiple: 1 << 20)
        #expect(ranges.count == 3)
        #expect(ranges.first?.lowerBound == 0 && ranges.last?.upperBound == .max)
    }

    @Test(arguments: [1, 2, 3, 8])
    func bodyRunsOnceForEachIndex(threads: Int) {
        let lock = NSLock()
        nonisolated(unsafe) var visits = [Int](repeating: 0, count: 1000)
        Parallelism(threads: threads).forEachRange(count: 1000, multiple: 16) { range in
            lock.withLock { for index in range { visits[index] += 1 } }
        }
        #expect(visits.allSatisfy { $0 == 1 })
        Parallelism(threads: threads).forEachRange(count: 0) { range in Issue.record("called for \(range)") }
    }

    @Test(arguments: [1, 2, 3, 8])
    func stagesFollowEachOther(threads: Int) {
        let lock = NSLock()
        nonisolated(unsafe) var visits: [(stage: Int, part: Int)] = []
        nonisolated(unsafe) var busy: Set<Int> = []
        let counts = [37, 0, 1, 50]
        Parallelism(threads: threads).forEachPart(ofStages: counts) { stage, part, thread in
            lock.withLock { #expect((0..<threads).contains(thread) && busy.insert(thread).inserted) }
            if part % 5 == 0 { usleep(100) }
            lock.withLock {
                visits.append((stage, part))
                busy.remove(thread)
            }
        }
        #expect(visits.map(\.stage) == counts.enumerated().flatMap { stage, count in [Int](repeating: stage, count: count) })
        for (stage, count) in counts.enumerated() {
            #expect(visits.filter { $0.stage == stage }.map(\.part).sorted() == Array(0..<count))
        }
        Parallelism(threads: threads).forEachPart(ofStages: []) { _, _, _ in Issue.record("called without a stage") }
    }

    /// Calls on top of each other, from several threads and from within, share one pool: each does all of its parts, once.
    @Test func callsAtTheSameTimeAndWithinEachOther() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for round in 0..<200 {
                        let sum = Mutex(0)
                        Parallelism(threads: 1 + round % 4).forEachPart(ofStages: [3, 5]) { stage, part, _ in
                            Parallelism(threads: 2).forEachPart(ofStages: [2]) { _, inner, _ in
                                sum.withLock { $0 += 100 * stage + 10 * part + inner }
                            }
                        }
                        #expect(sum.withLock { $0 } == 1268)
                    }
                }
            }
        }
    }

    /// Threads fall asleep after some microseconds without work and wake up again.
    @Test func threadsThatSleepAreWoken() {
        let helped = Mutex(0)
        for pause in [0, 0, 20, 200, 2000, 20_000] {
            usleep(UInt32(pause))
            let visits = Mutex([Int](repeating: 0, count: 64))
            Parallelism(threads: 2).forEachPart(ofStages: [64]) { _, part, thread in
                usleep(100)
                visits.withLock { $0[part] += 1 }
                if thread > 0 { helped.withLock { $0 += 1 } }
            }
            #expect(visits.withLock { $0 } == [Int](repeating: 1, count: 64))
        }
        if ProcessInfo.processInfo.activeProcessorCount > 1 { #expect(helped.withLock { $0 } > 0) }
    }

    @Test func smallWorkStaysOnTheCallingThread() {
        let two = Parallelism(threads: 2)
        #expect(two.suited(toMultiplyAdds: 1000) == .serial && two.suited(toMultiplyAdds: 1 << 20) == two)
        #expect(Parallelism(threads: 2, cutsSmallWork: true).suited(toMultiplyAdds: 1).threads == 2)
    }

    @Test func serialStaysOnTheCallingThread() {
        let caller = currentThread()
        nonisolated(unsafe) var ranges: [Range<Int>] = []
        Parallelism.serial.forEachRange(count: 100, multiple: 8) { range in
            #expect(currentThread() == caller)
            ranges.append(range)
        }
        #expect(ranges == [0..<100])
    }

    @Test func threads() async {
        #expect(Parallelism.serial.threads == 1)
        #expect((1...ProcessInfo.processInfo.activeProcessorCount).contains(Parallelism.allCores.threads))
        #expect(Parallelism(threads: 4) == Parallelism(threads: 4))
        await #expect(processExitsWith: .failure) { _ = Parallelism(threads: 0) }
    }
}
