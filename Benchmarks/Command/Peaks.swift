import CPeaks
import CompactNumerics
import Foundation

/// What limits kernels, by the loops of Benchmarks/Peaks.
enum PeakQuantity: CaseIterable {
    case float32, int8, int8Folded, lookup, count, bf16

    fileprivate var code: peak_quantity {
        switch self {
        case .float32: peak_float32
        case .int8: peak_int8
        case .int8Folded: peak_int8_folded
        case .lookup: peak_lookup
        case .count: peak_count
        case .bf16: peak_bf16
        }
    }

    var description: String {
        switch self {
        case .float32: "float32 multiply-add"
        case .int8: "int8 products, exact"
        case .int8Folded: "int8 products, folded in int16"
        case .lookup: "1-bit products, looked up in fours"
        case .count: "1-bit products, counted"
        case .bf16: "BF16 products"
        }
    }
}

/// An instruction set with those whose loops it may run: for each quantity the first that has one.
struct PeakSet: Hashable {
    let name: String

    /// From the set itself down; plain C for an unknown name.
    var chain: [String] {
        let chain = InstructionSet.chain(from: name)
        return chain.isEmpty ? ["portable"] : chain
    }

    /// Whether an instruction sums four products of bytes in int32.
    var hasVNNI: Bool { ["avx512vnni", "avxvnni", "dotprod"].contains { chain.contains($0) } }

    /// The best loops of a quantity and the set that they are for; none where no set of the chain has one.
    fileprivate func loops(_ quantity: PeakQuantity) -> (set: String, run: [(Int) -> Double])? {
        var count = 0
        let rows = UnsafeBufferPointer(start: peak_loops(&count), count: count).filter { $0.quantity == quantity.code }
        return best(rows.map { row in (String(cString: row.set), { row.run($0) }) })
    }

    /// The best loops that read memory.
    fileprivate var readers: [(UnsafeRawPointer, Int) -> Void] {
        var count = 0
        let rows = UnsafeBufferPointer(start: peak_readers(&count), count: count)
        return best(rows.map { row in (String(cString: row.set), { row.run($0, $1) }) })!.run  // plain C has one
    }

    private func best<Run>(_ rows: [(set: String, run: Run)]) -> (set: String, run: [Run])? {
        guard let set = chain.first(where: { set in rows.contains { $0.set == set } }) else { return nil }
        return (set, rows.filter { $0.set == set }.map(\.run))
    }
}

/// One limit of this machine.
enum Limit: Hashable {
    /// Operations per second.
    case operations(PeakQuantity, PeakSet)
    /// Bytes per second of a buffer of so many bytes that is read again and again.
    case read(bytes: Int, PeakSet)
}

/// What a run needs at least: the fastest of some ways, each so many operations or bytes of one limit.
struct Demand {
    let ways: [(limit: Limit, amount: Double)]

    init(_ ways: (limit: Limit, amount: Double)...) { self.ways = ways }

    /// Bytes of weights that are read once.
    static func reading(_ bytes: Int, _ set: PeakSet) -> Demand { Demand((.read(bytes: bytes, set), Double(bytes))) }
}

/// Measures limits around the runs that they judge.
final class Peaks {
    let parallelism: Parallelism
    /// The set of the kernels, and that of the float32 baseline.
    let kernels: PeakSet, blas: PeakSet
    private var memory = AlignedBuffer<UInt8>(count: 0)

    init(parallelism: Parallelism, kernels: String = InstructionSet.selection.used.name, blas: String = BLASKernels.inUse.set) {
        (self.parallelism, self.kernels, self.blas) = (parallelism, PeakSet(name: kernels), PeakSet(name: blas))
    }

    /// Runs `body` between two measurements of what the demands ask for; of each limit the larger counts.
    func around<Result>(_ demands: [Demand], _ progress: Progress, _ body: () throws -> Result) rethrows -> (Result, PeakFigures) {
        let limits = Set(demands.flatMap { $0.ways.map(\.limit) })
        let before = measure(limits, progress), result = try body()
        return (result, PeakFigures(before: before, after: measure(limits, progress)))
    }

    private func measure(_ limits: Set<Limit>, _ progress: Progress) -> [Limit: Double] {
        progress.show("what the machine allows")
        return Dictionary(uniqueKeysWithValues: limits.map { ($0, measure($0)) })
    }

    /// Operations or bytes per second; 0 where the set has no such loop.
    func measure(_ limit: Limit, seconds: Double = 0.02) -> Double {
        switch limit {
        case .operations(let quantity, let set): operations(set.loops(quantity)?.run ?? [], seconds)
        case .read(let bytes, let set): readBandwidth(bytes, set.readers, seconds)
        }
    }

    private func operations(_ loops: [(Int) -> Double], _ seconds: Double) -> Double {
        // A few milliseconds, of several threads some ten: waking one may take a millisecond.
        let count = parallelism.threads == 1 ? 500_000 : 4_000_000
        return loops.map { loop in
            nonisolated(unsafe) let loop = loop
            let time = median(seconds) { [parallelism] in parallelism.forEachThread { _ in _ = loop(count) } }
            return loop(count) * Double(parallelism.threads) / time
        }.max() ?? 0
    }

    private func readBandwidth(_ bytes: Int, _ readers: [(UnsafeRawPointer, Int) -> Void], _ seconds: Double) -> Double {
        // Each thread reads its share, the same every time, as threads that split a matrix do: it stays in that core's cache.
        let threads = parallelism.threads, share = max(2048, bytes / threads / 2048 * 2048), passes = max(1, (1 << 20) / (share * threads))
        if memory.count < share * threads { memory = AlignedBuffer(count: share * threads) }
        return memory.withUnsafeBufferPointer { memory in
            nonisolated(unsafe) let start = UnsafeRawPointer(memory.baseAddress!)
            return readers.map { read in
                nonisolated(unsafe) let read = read
                let time = median(seconds) { [parallelism] in
                    parallelism.forEachPart(ofStages: [threads]) { _, part, _ in
                        for _ in 0..<passes { read(start + part * share, share) }
                    }
                }
                return Double(share * threads * passes) / time
            }.max()!
        }
    }

    private func median(_ seconds: Double, _ body: @escaping () -> Void) -> Double {
        medianSeconds([TimedCall(name: "", body: body)], seconds: seconds, turns: 3, threads: parallelism.threads)[0]
    }

    // MARK: - The table of `Benchmarks roofline`

    static let bufferSizes = [16 << 10, 256 << 10, 4 << 20, 16 << 20, 128 << 20]

    /// What `roofline` lists, with the set whose loop measures it.
    var listed: [(name: String, set: String, limit: Limit)] {
        func rows(_ quantities: [PeakQuantity], _ set: PeakSet, _ suffix: String) -> [(String, String, Limit)] {
            quantities.compactMap { quantity in
                set.loops(quantity).map { (quantity.description + suffix, $0.set, .operations(quantity, set)) }
            }
        }
        let reads = Self.bufferSizes.map { ("read, buffer of \(byteText($0))", kernels.name, Limit.read(bytes: $0, kernels)) }
        return rows(PeakQuantity.allCases, kernels, "") + rows([.float32], blas, ", BLAS") + reads
    }
}

/// Limits as they were before and after a run.
struct PeakFigures {
    let before: [Limit: Double]
    let after: [Limit: Double]

    subscript(limit: Limit) -> Double { max(before[limit] ?? 0, after[limit] ?? 0) }

    /// The least seconds in which a run can meet the demands, and the limit that decides.
    func leastSeconds(_ demands: [Demand]) -> (seconds: Double, limit: Limit) {
        demands.map { demand in
            demand.ways.filter { self[$0.limit] > 0 }.map { ($0.amount / self[$0.limit], $0.limit) }.min { $0.0 < $1.0 }!
        }.max { $0.0 < $1.0 }!
    }

    /// A run of so many seconds against its limits.
    func judge(_ demands: [Demand], seconds: Double) -> Judgement {
        let (least, limit) = leastSeconds(demands)
        return Judgement(ofLimit: least / seconds, why: least / seconds > Judgement.most ? reason(limit) : nil)
    }

    /// Why a run can be faster than its limit.
    private func reason(_ limit: Limit) -> String {
        if let before = before[limit], let after = after[limit], abs(before / after - 1) > 0.02 {
            return "the machine's speed changed: this limit was \(fixed(before / 1e9, 1)) G/s before the run and \(fixed(after / 1e9, 1)) after it"
        }
        switch limit {
        case .operations(_, let set) where set.name == BLASKernels.accelerate:
            return "Accelerate multiplies on a matrix unit (AMX, SME), which the loop does not use"
        case .operations(let quantity, let set) where set.loops(quantity)?.set == "portable":
            return "the loop is plain C, of which the compiler makes less than of a kernel"
        case .read(let bytes, _):
            return "what part of \(byteText(bytes)) stays in a cache from run to run differs between the weights and the buffer of the loop"
        case .operations(.int8Folded, _): return "folds more than the eight products of the loop in int16 before it widens"
        case .operations(.lookup, _), .operations(.count, _): return "adds sums of bits in fewer instructions than the loop"
        case .operations: return "the clock rose during the run, between two measurements of the limit that agree"
        }
    }
}

/// A time against the least that the machine allows.
struct Judgement {
    /// What is printed without a word why.
    static let most = 1.02

    let ofLimit: Double
    /// For shares above `most`.
    let why: String?

    var note: String? { why.map { "\(percent(ofLimit)) of limit: \($0)" } }
}
