import ArgumentParser
import CompactNumerics

struct Sparse: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Linear layers with pruned weights against dense float32 BLAS.",
        discussion: """
            Weights are pruned by magnitude, single weights (csr) or whole blocks of outputs × inputs, stored as float32 or int8 (-w8a8). \
            Activations and outputs are feature-major, X[K,M] → Y[N,M], the layout that consecutive sparse layers keep; -rowmajor takes \
            X[M,K] → Y[M,N] and pays two transposes. GOP/s counts 2·M·K·N operations, pruned ones too, so that figures compare with \
            dense ones. "error" compares with the pruned weights in float64. "beats float32 from" is the share of zeros from which on a \
            format is faster than dense float32, found by bisection. --network adds three layers in sequence, with a ReLU each, for \
            shapes with K = N: rows in every layer against the layouts that the network chooses, rows at both ends.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Shapes: M rows, K inputs, N outputs.", valueName: "MxKxN"))
    var shapes = Sparse.defaultShapes

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Shares of zeros, 0 to 1.", valueName: "share"))
    var sparsity = [0.5, 0.7, 0.8, 0.9, 0.95]

    @Option(
        parsing: .upToNextOption,
        help: """
            Formats: csr, 4x1, 8x1, 1x4, 4x4, 16x16, each also with -w8a8 and -rowmajor; 2:4 and 4:8, also with -w8a8, which are measured where
            the sparsity is 0.5.
            """)
    var formats = SparseFormat.defaults

    static let defaultShapes = [Shape(m: 1, k: 4096, n: 4096), Shape(m: 16, k: 4096, n: 4096), Shape(m: 256, k: 1024, n: 1024)]

    @Flag(inversion: .prefixedNo, help: "Look for the sparsity from which each format beats float32.")
    var breakEven = true

    @Flag(help: "Also measure three layers in sequence.")
    var network = false

    func run() throws {
        try shared.check()
        try checkSparsity(sparsity)
        for shape in shapes { try shape.check() }
        let chosen = try formats.map { try SparseFormat(named: $0) }
        try shared.withReport { report in
            let peaks = Peaks(parallelism: shared.parallelism)
            let table = Self.table()
            var studies: [SparseStudy] = []
            for shape in shapes {
                let study = try SparseStudy(shape, chosen, shared, peaks)
                for share in sparsity { try study.measure(sparsity: share, table, report) }
                studies.append(study)
            }
            let leftOut = chosen.filter { format in !sparsity.contains { format.allows(sparsity: $0) } }
            if !leftOut.isEmpty { print("\nnot measured, since --sparsity has no 0.5: \(leftOut.map(\.name).joined(separator: " "))") }
            if breakEven, chosen.contains(where: { $0.nOfM == nil }) {
                print("\nbeats float32 from")
                let table = Table([("shape", 16)] + chosen.filter { $0.nOfM == nil }.map { ($0.name, 8) })
                for study in studies { try study.printBreakEven(table) }
            }
            if network { try measureNetworks(chosen, report) }
        }
    }

    private func measureNetworks(_ formats: [SparseFormat], _ report: Report) throws {
        print("\n\(SparseNetworkStudy.depth) layers in sequence")
        for shape in shapes where !SparseNetworkStudy.fits(shape) {
            print("\(shape): not measured, layers in sequence need K = N and more than one row")
        }
        let table = SparseNetworkStudy.table()
        for shape in shapes where SparseNetworkStudy.fits(shape) {
            let study = SparseNetworkStudy(shape: shape, formats: formats.filter { !$0.isRowMajor }, shared: shared)
            for share in sparsity { try study.measure(sparsity: share, table, report) }
        }
    }

    static func table() -> Table {
        Table([
            ("shape", 16), ("zeros", 6), ("format", 13), ("time", 10), ("GOP/s", 8), ("× float32", 9), ("of limit", 8), ("error", 9), ("weights", 9),
            ("packing", 9),
        ])
    }
}

func checkSparsity(_ shares: [Double]) throws {
    for share in shares where !(share >= 0 && share <= 1) {
        throw BenchmarkError("--sparsity: expected numbers from 0 to 1, found \(share)")
    }
}

/// One shape with its data, measured at any sparsity.
final class SparseStudy {
    private let shape: Shape
    private let formats: [SparseFormat]
    private let shared: SharedOptions
    private let peaks: Peaks
    private let x: Matrix
    private let transposed: Matrix
    private let linear: Linear
    private let progress: Progress

    init(_ shape: Shape, _ formats: [SparseFormat], _ shared: SharedOptions, _ peaks: Peaks) throws {
        (self.shape, self.formats, self.shared, self.peaks) = (shape, formats, shared, peaks)
        progress = Progress("\(shape)")
        progress.show("making data")
        var random = RandomNumbers(seed: 3)
        x = random.gaussianMatrix(rows: shape.m, columns: shape.k, deviation: 1)
        transposed = x.transposed()
        linear = try Linear(weight: random.gaussianMatrix(rows: shape.n, columns: shape.k, deviation: 0.05))
    }

    func measure(sparsity: Double, _ table: Table, _ report: Report) throws {
        let formats = formats.filter { $0.allows(sparsity: sparsity) }
        var packing: [Double] = []
        let runs = try formats.map { format in
            progress.show("packing \(format.name)")
            let start = now()
            defer { packing.append(now() - start) }
            return SparseRun(
                try format.layer(linear, sparsity: sparsity, rows: shape.m), format, x: x, transposed: transposed, shared.parallelism)
        }
        let dense = LayerRun(linear, x, shared.parallelism)
        let calls =
            [TimedCall(name: "float32", body: dense.callAsFunction)]
            + zip(formats, runs).map { TimedCall(name: $0.name, body: $1.callAsFunction) }
        let denseDemands = WeightFormat.float32.demands(shape, weightBytes: linear.byteCount, peaks)
        let demands = [denseDemands] + zip(formats, runs).map { $0.demands(shape, $1.layer, peaks) }
        let (times, limits) = peaks.around(demands.flatMap { $0 }, progress) {
            timings(calls, seconds: shared.seconds, threads: shared.threads, progress: progress)
        }
        progress.clear()
        let float32Seconds = times[0].seconds, denseRate = shape.operations / float32Seconds / 1e9
        let denseJudgement = limits.judge(demands[0], seconds: float32Seconds)
        table.row([
            shape.description, percent(sparsity), "float32", duration(float32Seconds), fixed(denseRate, 1), "1.00", percent(denseJudgement.ofLimit),
            "",
            byteText(linear.byteCount), "",
        ])
        if let note = denseJudgement.note { table.note(note) }
        for (index, format) in formats.enumerated() {
            let layer = runs[index].layer, time = times[index + 1].seconds, ratio = float32Seconds / time, rate = shape.operations / time / 1e9
            let error = Reference(x: x, weight: layer.denseWeight()).relativeError(of: runs[index].output)
            let judgement = limits.judge(demands[index + 1], seconds: time)
            table.row([
                shape.description, percent(sparsity), format.name, duration(time), fixed(rate, 1), fixed(ratio, 2), percent(judgement.ofLimit),
                errorText(error), byteText(layer.byteCount), duration(packing[index]),
            ])
            if let note = judgement.note { table.note(note) }
            let caseName = format.caseName(shape, sparsity: sparsity)
            report.add(
                Measurement(
                    case: caseName, name: "float32", figure: denseRate, unit: "GOP/s", timing: times[0], ratio_to_float32: 1,
                    of_limit: denseJudgement.ofLimit))
            report.add(
                Measurement(
                    case: caseName, name: format.name, figure: rate, unit: "GOP/s", timing: times[index + 1], ratio_to_float32: ratio,
                    of_limit: judgement.ofLimit))
        }
    }

    /// Prints, for each format, the least share of zeros at which it is faster than dense float32.
    func printBreakEven(_ table: Table) throws {
        let shares = try formats.filter { $0.nOfM == nil }.map { format in
            progress.show("break-even of \(format.name)")
            return try breakEven(format)
        }
        progress.clear()
        table.row([shape.description] + shares)
    }

    private func breakEven(_ format: SparseFormat) throws -> String {
        func isFaster(_ sparsity: Double) throws -> Bool {
            let run = SparseRun(try format.layer(linear, sparsity: sparsity, rows: shape.m), format, x: x, transposed: transposed, shared.parallelism)
            let dense = LayerRun(linear, x, shared.parallelism)
            let seconds = medianSeconds(
                [TimedCall(name: "float32", body: dense.callAsFunction), TimedCall(name: format.name, body: run.callAsFunction)],
                seconds: min(0.03, shared.seconds), turns: 3, threads: shared.threads)
            return seconds[1] < seconds[0]
        }
        if try isFaster(0) { return "0 %" }
        guard try isFaster(0.99) else { return "never" }
        var (slower, faster) = (0.0, 0.99)
        while faster - slower > 0.02 {
            let middle = (slower + faster) / 2
            if try isFaster(middle) { faster = middle } else { slower = middle }
        }
        return percent(faster)
    }
}
