import ArgumentParser
import CompactNumerics
import Dispatch

struct Scaling: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a second thread brings, and what it can bring on this machine.",
        discussion: """
            Times each layer with one thread, with --threads, and in as many copies at once as there are threads, each on one, in turn in the \
            same process. "speed-up" is one thread's time over that of all; "machine" is the speed-up of the copies, which share nothing but \
            the weights and wait for nobody: what the cores, their caches and the memory allow (of calls below some 0.2 ms, less the time to wake a \
            thread). The formats are those of gemm and sparse.
            """)

    @Option(help: "Threads to compare with one, at least 2.")
    var threads = 2

    @Option(help: ArgumentHelp("Also write the figures as JSON to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Seconds of timing for each figure.", valueName: "seconds"))
    var seconds = 0.3

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Shapes: M rows, K inputs, N outputs.", valueName: "MxKxN"))
    var shapes = [Shape(m: 16, k: 4096, n: 4096), Shape(m: 256, k: 1024, n: 1024)]

    @Option(help: ArgumentHelp("Share of zeros of sparse formats, 0 to 1.", valueName: "share"))
    var sparsity = 0.9

    @Option(parsing: .upToNextOption, help: "Formats of gemm and sparse, and float32.")
    var formats = [
        "float32", "w8a8", "w4a8-g32", "w2a8-channel", "w1a8-channel", "csr", "4x1", "csr-rowmajor", "1x4-w8a8", "2:4", "2:4-w8a8",
    ]

    func run() throws {
        var shared = SharedOptions()
        (shared.threads, shared.json, shared.seconds) = (threads, json, seconds)
        try shared.check()
        guard threads >= 2 else { throw BenchmarkError("--threads: expected at least 2, found \(threads)") }
        try checkSparsity([sparsity])
        for shape in shapes { try shape.check() }
        let chosen = try formats.map(BenchmarkFormat.init(named:))
        try shared.withReport { report in
            let table = Table([
                ("shape", 16), ("format", 15), ("one thread", 10), ("\(threads) threads", 10), ("copies", 10), ("speed-up", 8), ("machine", 8),
            ])
            for shape in shapes {
                let data = try FormatData(shape)
                for format in chosen { try measure(format, data, table, report) }
            }
        }
    }

    private func measure(_ format: BenchmarkFormat, _ data: FormatData, _ table: Table, _ report: Report) throws {
        let progress = Progress("\(data.shape)")
        progress.show("packing \(format.name)")
        let layer = try format.layer(data.linear, sparsity: sparsity, rows: data.shape.m)
        let one = format.run(layer, data, .serial), all = format.run(layer, data, Parallelism(threads: threads))
        // The threads that run the copies take no BLAS threads of their own: float32 layers set their number before each product.
        nonisolated(unsafe) let copies = (0..<threads).map { _ in format.run(layer, data, .serial) }
        let timed = timings(
            [
                TimedCall(name: format.name, body: one), TimedCall(name: "\(format.name), \(threads) threads", body: all),
                TimedCall(name: "\(format.name), copies") { Parallelism(threads: copies.count).forEachThread { copies[$0]() } },
            ], seconds: seconds, threads: threads, progress: progress)
        progress.clear()
        let times = timed.map(\.seconds)
        let speedUp = times[0] / times[1], machine = Double(threads) * times[0] / times[2]
        table.row([
            data.shape.description, format.name, duration(times[0]), duration(times[1]), duration(times[2]), fixed(speedUp, 2), fixed(machine, 2),
        ])
        for (name, figure) in [("speed-up", speedUp), ("machine", machine)] {
            report.add(
                Measurement(
                    case: data.shape.description, name: "\(format.name) \(name)", figure: figure, unit: "× one thread", timing: timed[1]))
        }
    }
}
