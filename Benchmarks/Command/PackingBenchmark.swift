import ArgumentParser
import CompactNumerics
import Foundation

struct Packing: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Time and memory of making a layer from float32 weights.",
        discussion: """
            What a user waits for: weights are checked, quantized or pruned, and packed, on one thread. GB/s counts the float32 weights read once. \
            "first" is the first call of the process. "peak" is the most memory that is held during it beyond the float32 weights, and "packed" \
            what is held afterwards; Linux alone tells the peak.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: ArgumentHelp("Outputs N and inputs K of the weights.", valueName: "NxK"))
    var shape = WeightShape(n: 4096, k: 4096)

    @Option(help: ArgumentHelp("Share of zeros of sparse formats, 0 to 1.", valueName: "share"))
    var sparsity = 0.9

    @Option(parsing: .upToNextOption, help: "Formats of gemm and sparse.")
    var formats = [
        "f16", "bf16", "w8a8", "w4a8-g32", "w4a8-channel", "w2a8-channel", "ternary-channel", "w1a8-channel", "csr", "csr-w8a8", "4x1", "2:4",
    ]

    func run() throws {
        try shared.check()
        guard shared.threads == 1 else { throw BenchmarkError("--threads: expected 1, since packing runs on one thread, found \(shared.threads)") }
        try checkSparsity([sparsity])
        try shape.product.check()
        guard !formats.isEmpty else { throw BenchmarkError("--formats: expected at least one, found none") }
        let chosen = try formats.map(BenchmarkFormat.init(named:))
        try shared.withReport { report in try measure(chosen, report) }
    }

    private func measure(_ formats: [BenchmarkFormat], _ report: Report) throws {
        let progress = Progress("packing")
        progress.show("making data")
        var random = RandomNumbers(seed: 4)
        let linear = try Linear(weight: random.gaussianMatrix(rows: shape.n, columns: shape.k, deviation: 0.05))
        progress.clear()
        let table = Table([("weights", 12), ("format", 16), ("first", 10), ("time", 10), ("GB/s", 6), ("peak", 9), ("packed", 9)])
        let bytes = Double(4 * shape.n * shape.k)
        for format in formats {
            progress.show(format.name)
            // The first call makes sure that the next ones do not fail.
            let before = PeakMemory(), start = now()
            var layer: (any LinearLayer)? = try format.layer(linear, sparsity: sparsity, rows: 64)
            let first = now() - start, peak = before.growth, packed = layer!.byteCount
            layer = nil
            let call = TimedCall(name: format.name) { _ = try? format.layer(linear, sparsity: sparsity, rows: 64) }
            let time = timings([call], seconds: shared.seconds)[0]
            progress.clear()
            let rate = bytes / time.seconds / 1e9
            table.row([
                shape.description, format.name, duration(first), duration(time.seconds), fixed(rate, 1), peak.map(byteText) ?? "–",
                byteText(packed),
            ])
            report.add(Measurement(case: "\(shape) packing", name: format.name, figure: rate, unit: "GB/s", timing: time))
        }
    }
}

/// Outputs and inputs of weights.
struct WeightShape: ExpressibleByArgument, CustomStringConvertible {
    let n: Int, k: Int

    init(n: Int, k: Int) {
        (self.n, self.k) = (n, k)
    }

    init?(argument: String) {
        let sizes = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard sizes.count == 2, let n = sizes[0], let k = sizes[1] else { return nil }
        self.init(n: n, k: k)
    }

    var description: String { "\(n)x\(k)" }
    var defaultValueDescription: String { description }
    var product: Shape { Shape(m: 1, k: k, n: n) }
}

/// How far the memory of this process grows: /proc/self/clear_refs sets its highest mark to what is held now.
struct PeakMemory {
    private let held: Int?

    init() {
        let path = "/proc/self/clear_refs"
        let isReset = FileManager.default.fileExists(atPath: path) && (try? Data("5".utf8).write(to: URL(filePath: path))) != nil
        held = isReset ? Self.bytes("VmRSS") : nil
    }

    /// The most bytes that have been held at a time since, less those held then; nil where the system does not tell.
    var growth: Int? {
        guard let held, let most = Self.bytes("VmHWM") else { return nil }
        return max(0, most - held)
    }

    /// A line of /proc/self/status, "VmHWM:    1234 kB".
    private static func bytes(_ name: String) -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
}
