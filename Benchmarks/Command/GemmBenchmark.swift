import ArgumentParser
import CompactNumerics

struct Gemm: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Linear layers with quantized weights against float32 BLAS.",
        discussion: """
            Multiplies activations X[M,K] by weights W[N,K] transposed, one linear layer on M rows, in each format and in float32 (sgemm, \
            or sgemv where it is faster), in turn in the same process. Quantizing the activations is part of every W*A8 figure.
            GOP/s counts 2·M·K·N operations. "of limit" compares with what the instruction set in use, of float32 that of BLAS, and memory allow at \
            most, measured before and after each shape.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Shapes: M rows, K inputs, N outputs.", valueName: "MxKxN"))
    var shapes = Gemm.defaultShapes

    @Option(
        parsing: .upToNextOption,
        help: "Formats: f16, bf16, bf16a16, w8a8, w8a7, w4a8-g32, w2a8-channel, ternary-channel, w1a8-channel, w1a1-channel, …")
    var formats: [String] = []

    static let defaultShapes = [
        Shape(m: 1, k: 1024, n: 1024), Shape(m: 1, k: 4096, n: 4096), Shape(m: 16, k: 4096, n: 4096), Shape(m: 128, k: 768, n: 3072),
        Shape(m: 256, k: 1024, n: 1024), Shape(m: 1024, k: 1024, n: 1024),
    ]

    func run() throws {
        let chosen = try (formats.isEmpty ? WeightFormat.denseDefaults : formats).map { try WeightFormat(denseNamed: $0) }
        try shared.check()
        for shape in shapes { try shape.check() }
        try shared.withReport { report in
            let peaks = Peaks(parallelism: shared.parallelism)
            let table = Self.table()
            for shape in shapes {
                try Self.measure(shape, chosen, shared, peaks, table, report)
            }
        }
    }

    static func table() -> Table {
        Table([
            ("shape", 16), ("format", 15), ("time", 10), ("GOP/s", 8), ("× float32", 9), ("of limit", 8), ("error", 9), ("weights", 9),
            ("packing", 9),
        ])
    }

    /// Measures one shape in all formats and prints and records the rows.
    static func measure(
        _ shape: Shape, _ formats: [WeightFormat], _ shared: SharedOptions, _ peaks: Peaks, _ table: Table, _ report: Report
    ) throws {
        let progress = Progress("\(shape)")
        progress.show("making data")
        var random = RandomNumbers(seed: 1)
        let x = random.gaussianMatrix(rows: shape.m, columns: shape.k, deviation: 1)
        let linear = try Linear(weight: random.gaussianMatrix(rows: shape.n, columns: shape.k, deviation: 0.05))
        let reference = Reference(x: x, weight: linear.weight)
        var packing: [Double] = []
        let all = [WeightFormat.float32] + formats.filter { $0 != .float32 }
        let layers = try all.map { format in
            progress.show("packing \(format)")
            let start = now()
            defer { packing.append(now() - start) }
            return try format.layer(linear, rows: shape.m)
        }
        let runs = layers.map { LayerRun($0, x, shared.parallelism) }
        let demands = zip(all, layers).map { $0.demands(shape, weightBytes: $1.byteCount, peaks) }
        let (times, limits) = peaks.around(demands.flatMap { $0 }, progress) {
            timings(
                zip(all, runs).map { format, run in TimedCall(name: format.description, body: run.callAsFunction) }, seconds: shared.seconds,
                threads: shared.threads, progress: progress)
        }
        progress.clear()
        for (index, format) in all.enumerated() {
            let time = times[index].seconds, rate = shape.operations / time / 1e9, ratio = times[0].seconds / time
            let judgement = limits.judge(demands[index], seconds: time)
            table.row([
                shape.description, format.description, duration(time), fixed(rate, 1), fixed(ratio, 2), percent(judgement.ofLimit),
                errorText(reference.relativeError(of: runs[index].output)), byteText(layers[index].byteCount),
                index == 0 ? "" : duration(packing[index]),
            ])
            if let note = judgement.note { table.note(note) }
            report.add(
                Measurement(
                    case: shape.description, name: format.description, figure: rate, unit: "GOP/s", timing: times[index], ratio_to_float32: ratio,
                    of_limit: judgement.ofLimit))
        }
    }
}

func errorText(_ error: Double) -> String {
    error < 1e-4 ? String(format: "%.1e", error) : fixed(error * 100, 2) + " %"
}

/// A layer with its input, output and scratch memory, to be run again and again without allocating.
final class LayerRun {
    private let layer: any Layer
    private let input: Matrix
    private let parallelism: Parallelism
    private var workspace = Workspace()
    private(set) var output: Matrix

    init(_ layer: any Layer, _ input: Matrix, _ parallelism: Parallelism) {
        self.layer = layer
        self.input = input
        self.parallelism = parallelism
        output = Matrix(rows: input.rows, columns: layer.outputCount(inputs: input.columns))
    }

    func callAsFunction() {
        layer.apply(input, into: &output, workspace: &workspace, parallelism: parallelism)
    }
}
