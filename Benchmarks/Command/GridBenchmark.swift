import ArgumentParser
import CompactNumerics

struct Grid: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Where a format is slower than float32, over a grid of shapes.",
        discussion: """
            Times each format and float32 in turn for every number of rows, inputs and outputs, and prints those that lose: the ratio of the median \
            times is below 1. "tie" marks those whose 95 % interval reaches 1. N:M has half of its weights, other sparse formats --sparsity zeros. \
            A few minutes; --json has all rows.
            """)

    @OptionGroup var shared: GridOptions

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Rows M of the shapes.", valueName: "count"))
    var rows = [1, 2, 4, 8, 16, 64, 256]

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Inputs K and outputs N of the shapes.", valueName: "count"))
    var sizes = [64, 256, 1000, 4096]

    @Option(help: ArgumentHelp("Share of zeros of sparse formats, 0 to 1.", valueName: "share"))
    var sparsity = 0.9

    @Option(parsing: .upToNextOption, help: "Formats of gemm and sparse.")
    var formats = WeightFormat.denseDefaults + ["csr", "4x1", "csr-w8a8", "1x4-w8a8", "2:4", "2:4-w8a8"]

    func run() throws {
        let common = shared.common
        try common.check()
        try checkSparsity([sparsity])
        guard !rows.isEmpty, !sizes.isEmpty, !formats.isEmpty else {
            throw BenchmarkError("--rows, --sizes, --formats: expected at least one of each, found none")
        }
        for m in rows {
            for k in sizes {
                for n in sizes { try Shape(m: m, k: k, n: n).check() }
            }
        }
        let chosen = try formats.map(BenchmarkFormat.init(named:))
        try common.withReport { report in
            let losers = try GridStudy(formats: chosen, sparsity: sparsity, shared: common, report: report).measure(rows: rows, sizes: sizes)
            let count = rows.count * sizes.count * sizes.count * chosen.count
            print("\(losers.count) of \(count) are slower than float32\(losers.isEmpty ? "" : ":\n")")
            guard !losers.isEmpty else { return }
            let table = Table([("format", 15), ("shape", 16), ("time", 10), ("float32", 10), ("× float32", 9), ("", 3)])
            for name in chosen.map(\.name) {
                for loser in losers where loser.format == name {
                    table.row([
                        name, loser.shape.description, duration(loser.seconds), duration(loser.float32), fixed(loser.ratio.ratio, 2),
                        loser.ratio.interval.contains(1) ? "tie" : "",
                    ])
                }
            }
        }
    }
}

/// The options of every subcommand, with less time for a figure.
struct GridOptions: ParsableArguments {
    @Option(help: "Threads for everything that is measured, the float32 baseline included.")
    var threads = 1

    @Option(help: ArgumentHelp("Also write the figures as JSON to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Seconds of timing for each figure.", valueName: "seconds"))
    var seconds = 0.015

    var common: SharedOptions {
        var shared = SharedOptions()
        (shared.threads, shared.json, shared.seconds) = (threads, json, seconds)
        return shared
    }
}

/// Measures formats on a grid.
struct GridStudy {
    /// A format that takes longer than float32 on a shape.
    struct Loser {
        let format: String
        let shape: Shape
        let seconds: Double, float32: Double
        let ratio: MedianRatio
    }

    let formats: [BenchmarkFormat]
    let sparsity: Double
    let shared: SharedOptions
    let report: Report

    func measure(rows: [Int], sizes: [Int]) throws -> [Loser] {
        var losers: [Loser] = []
        let total = sizes.count * sizes.count
        for (index, (k, n)) in sizes.flatMap({ k in sizes.map { (k, $0) } }).enumerated() {
            let progress = Progress("grid \(index + 1)/\(total)")
            progress.show("packing \(k)x\(n)")
            var random = RandomNumbers(seed: 5)
            let linear = try Linear(weight: random.gaussianMatrix(rows: n, columns: k, deviation: 0.05))
            // What sparse formats pack depends on the rows; dense ones serve all.
            let dense = try formats.map { $0.isSparse ? nil : try $0.layer(linear, sparsity: 0, rows: 64) }
            for m in rows {
                let layers = try zip(formats, dense).map { format, layer in
                    try layer ?? format.layer(linear, sparsity: format.isNOfM ? 0.5 : sparsity, rows: m)
                }
                let data = FormatData(Shape(m: m, k: k, n: n), linear: linear, seed: 6)
                losers += measure(data, layers, progress)
            }
            progress.clear()
        }
        return losers
    }

    private func measure(_ data: FormatData, _ layers: [any LinearLayer], _ progress: Progress) -> [Loser] {
        let dense = LayerRun(data.linear, data.x, shared.parallelism)
        let calls =
            [TimedCall(name: "\(data.shape) float32", body: dense.callAsFunction)]
            + zip(formats, layers).map {
                TimedCall(name: "\(data.shape) \($0.name)", body: $0.run($1, data, shared.parallelism))
            }
        let times = timings(calls, seconds: shared.seconds, threads: shared.threads, progress: progress)
        func record(_ name: String, _ time: Timing) {
            report.add(
                Measurement(
                    case: data.shape.description, name: name, figure: data.shape.operations / time.seconds / 1e9, unit: "GOP/s", timing: time,
                    ratio_to_float32: times[0].seconds / time.seconds))
        }
        record("float32", times[0])
        return zip(formats, times.dropFirst()).compactMap { format, time in
            record(format.name, time)
            guard time.seconds > times[0].seconds else { return nil }
            return Loser(
                format: format.name, shape: data.shape, seconds: time.seconds, float32: times[0].seconds,
                ratio: MedianRatio(before: [times[0].turns], after: [time.turns]))
        }
    }
}
