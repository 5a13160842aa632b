internal import CompactNumerics

/// Measured milliseconds of one call.
///
/// Both networks are called in turn, in 9 rounds of 10 to 100 calls each: as many as take about two seconds together. Each round gives a
/// percentile by the nearest rank, and the median of the rounds is reported: what disturbs up to four rounds, however much, is not in it.
public struct LatencyReport: Sendable, Hashable, Codable {
    public let batch: Int
    public let p50Before: Double
    public let p99Before: Double
    public let p50After: Double
    public let p99After: Double
}

extension LatencyReport {
    internal static let rounds = 9

    /// Measures calls of two networks for the first `batch` samples of `data`, from the beginning again where there are fewer.
    internal init(batch: Int, _ before: Sequential, _ after: Sequential, _ data: LabelledData, _ parallelism: Parallelism) {
        let x = data.selecting((0..<batch).map { $0 % data.count }).inputs
        let networks = [before, after].map { TimedNetwork($0, rows: batch, outputs: data.classes) }
        func callBoth() -> [Double] { networks.map { $0.milliseconds(x, parallelism) } }
        // Memory is allocated and caches are filled.
        for _ in 0..<3 { _ = callBoth() }
        let pair = (0..<5).map { _ in callBoth().reduce(0, +) }.sorted()[2]
        let calls = Self.callsPerRound(millisecondsOfBoth: pair)
        let rounds = (0..<Self.rounds).map { _ in (0..<calls).map { _ in callBoth() } }
        func percentile(_ share: Double, _ network: Int) -> Double { Self.percentile(share, ofRounds: rounds.map { $0.map { $0[network] } }) }
        self.init(
            batch: batch, p50Before: percentile(0.5, 0), p99Before: percentile(0.99, 0), p50After: percentile(0.5, 1), p99After: percentile(0.99, 1))
    }

    internal static func callsPerRound(millisecondsOfBoth time: Double) -> Int {
        Int(min(100, max(10, 2000 / Double(rounds) / max(time, 1e-6))))
    }

    /// The median over rounds of the number that a share 0…1 of the round's numbers do not exceed (nearest rank).
    ///
    /// - Precondition: there is a round, and each has a number.
    internal static func percentile(_ share: Double, ofRounds rounds: [[Double]]) -> Double {
        func ranked(_ values: [Double], _ share: Double) -> Double {
            values.sorted()[max(1, Int((share * Double(values.count)).rounded(.up))) - 1]
        }
        return ranked(rounds.map { ranked($0, share) }, 0.5)
    }
}

/// A network with the memory that its calls need, for timing.
private final class TimedNetwork {
    private let network: Sequential
    private var workspace = Workspace()
    private var outputs: Matrix

    init(_ network: Sequential, rows: Int, outputs: Int) {
        (self.network, self.outputs) = (network, Matrix(rows: rows, columns: outputs))
    }

    /// Of one call.
    func milliseconds(_ x: Matrix, _ parallelism: Parallelism) -> Double {
        let start = ContinuousClock.now
        network.apply(x, into: &outputs, workspace: &workspace, parallelism: parallelism)
        return (ContinuousClock.now - start) / .milliseconds(1)
    }
}
