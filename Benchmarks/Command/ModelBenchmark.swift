import ArgumentParser
import CompactNumerics
import Foundation
import ModelFiles

struct Model: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What each format makes of the weights of a real network.",
        discussion: """
            For each weight matrix: bytes, output error as signal-to-quantization-noise ratio, and time at batch 1 and 32, in float32, quantized \
            and pruned by magnitude; then totals. Without a file: the shipped LeNet-300-100 for Fashion-MNIST, with its accuracy on 2,000 \
            test images before and after. Nothing is retrained: the accuracy of pruned weights is that of one-shot pruning.
            `make minilm` fetches all-MiniLM-L6-v2, a sentence encoder, to try.
            """)

    @OptionGroup var shared: ModelOptions

    @Argument(help: "A network as safetensors file.")
    var file: String?

    func run() throws {
        try shared.check()
        guard file != nil || shared.activations == nil && !shared.embeddings else {
            throw BenchmarkError("--activations, --embeddings: expected a FILE beside them, found none")
        }
        let network =
            try file.map {
                try Network(path: $0, activations: shared.activations, embeddings: shared.embeddings)
            } ?? Network()
        try shared.common.withReport { report in
            try ModelStudy(network, shared, report).run()
        }
    }
}

struct ModelOptions: ParsableArguments {
    @OptionGroup var common: SharedOptions

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Shares of zeros of the pruned formats.", valueName: "share"))
    var sparsity = [0.8, 0.9]

    @Option(
        help: ArgumentHelp(
            "Activations to measure errors on: a safetensors file with a tensor [M, K] under the name of each weight; others are random.",
            valueName: "file"))
    var activations: String?

    @Flag(help: "Measure tables whose name has \"embedding\" in it too, as if they were multiplied.")
    var embeddings = false

    func check() throws {
        try common.check()
        try checkSparsity(sparsity)
    }
}

/// Measures all matrices of a network in all formats.
final class ModelStudy {
    /// A named way to make a layer from a float32 one.
    private struct Variant {
        let name: String
        let layer: (Linear) throws -> any LinearLayer
    }

    private struct Totals {
        var bytes = 0
        var seconds = [0.0, 0.0]
        var layers: [any Layer] = []
    }

    private static let batches = [1, 32]
    private let network: Network
    private let options: ModelOptions
    private let report: Report
    private let progress = Progress("model")
    private let variants: [Variant]
    private var totals: [Totals]

    init(_ network: Network, _ options: ModelOptions, _ report: Report) {
        (self.network, self.options, self.report) = (network, options, report)
        variants = Self.variants(sparsity: options.sparsity)
        totals = variants.map { _ in Totals() }
    }

    private static func variants(sparsity: [Double]) -> [Variant] {
        let quantized = [(8, 0), (4, 32), (2, 128)].map { bits, group in
            Variant(name: group == 0 ? "w8a8" : "w\(bits)a8-g\(group)") { linear in
                let granularity: QuantizationScheme.Granularity = group > 0 ? .group(group) : .channel
                return try QuantizedLinear(linear, scheme: QuantizationScheme(bits: bits, granularity: granularity))
            }
        }
        let sparse = sparsity.flatMap { share in
            ["csr", "4x1"].map { name in
                Variant(name: "\(name) \(percent(share))") { linear in
                    try SparseLinear(linear, sparsity: share, shape: SparseFormat(named: name).shape, expectedRows: 32)
                }
            }
        }
        return [Variant(name: "float32") { $0 }] + quantized + sparse
    }

    func run() throws {
        print("\(network.title), \(network.layers.count) weight matrices")
        for (reason, names) in network.skipped {
            let some = names.prefix(3).joined(separator: ", ")
            print("not measured: \(names.count) \(reason): \(some)\(names.count > 3 ? ", …" : "")")
        }
        print()
        let table = Table([
            ("matrix", 44), ("format", 10), ("weights", 9), ("SQNR", 8), ("batch 1", 10), ("× float32", 9), ("batch 32", 10), ("× float32", 9),
        ])
        for matrix in network.layers {
            do {
                try measure(matrix, table)
            } catch let error as NumericsError {
                throw BenchmarkError("\(network.title): \(matrix.name): \(error)")
            }
        }
        try printTotals()
    }

    private func measure(_ matrix: Network.Matrix2D, _ table: Table) throws {
        let (k, n) = (matrix.linear.inputs, matrix.linear.outputs)
        progress.show("packing \(matrix.name)")
        let layers = try variants.map { try $0.layer(matrix.linear) }
        var random = RandomNumbers(seed: 4)
        let activations = matrix.activations ?? random.gaussianMatrix(rows: 32, columns: k, deviation: 1)
        let exact = Matrix.rows32(matrix.linear, activations)
        let timed = Self.batches.map { batch in
            let runs = layers.map { LayerRun($0, activations.repeatedRows(batch), options.common.parallelism) }
            return timings(
                zip(variants, runs).map { variant, run in TimedCall(name: "\(matrix.name) \(variant.name)", body: run.callAsFunction) },
                seconds: min(options.common.seconds, 0.05), turns: 3, threads: options.common.threads, progress: progress)
        }
        progress.clear()
        let seconds = timed.map { $0.map(\.seconds) }
        for (index, layer) in layers.enumerated() {
            let ratios = seconds.map { $0[0] / $0[index] }
            let noise = index == 0 ? "" : decibels(signal: exact, noisy: Matrix.rows32(layer, activations))
            table.row([
                index == 0 ? "\(matrix.name) [\(n), \(k)]" : "", variants[index].name, byteText(layer.byteCount), noise,
                duration(seconds[0][index]), fixed(ratios[0], 2), duration(seconds[1][index]), fixed(ratios[1], 2),
            ])
            totals[index].bytes += layer.byteCount
            totals[index].layers.append(layer)
            for (place, batch) in Self.batches.enumerated() {
                let time = seconds[place][index], shape = Shape(m: batch, k: k, n: n)
                totals[index].seconds[place] += time
                report.add(
                    Measurement(
                        case: "\(shape) \(matrix.name)", name: variants[index].name, figure: shape.operations / time / 1e9, unit: "GOP/s",
                        timing: timed[place][index], ratio_to_float32: ratios[place]))
            }
        }
    }

    private func printTotals() throws {
        print("\nall matrices")
        let hasTest = network.test != nil
        let table = Table(
            [("format", 10), ("weights", 9), ("of float32", 10), ("batch 1", 10), ("× float32", 9), ("batch 32", 10), ("× float32", 9)]
                + (hasTest ? [("accuracy", 8)] : []))
        for (index, variant) in variants.enumerated() {
            let total = totals[index]
            var cells = [
                variant.name, byteText(total.bytes), percent(Double(total.bytes) / Double(totals[0].bytes)), duration(total.seconds[0]),
                fixed(totals[0].seconds[0] / total.seconds[0], 2), duration(total.seconds[1]), fixed(totals[0].seconds[1] / total.seconds[1], 2),
            ]
            report.add(
                Measurement(
                    case: "all matrices", name: variant.name, figure: Double(total.bytes), unit: "bytes", median_seconds: total.seconds[1],
                    ratio_to_float32: totals[0].seconds[1] / total.seconds[1]))
            if let test = network.test {
                let accuracy = try Network.accuracy(total.layers, images: test.images, labels: test.labels, options.common.parallelism)
                cells.append(fixed(accuracy * 100, 1) + " %")
                report.add(
                    Measurement(
                        case: "accuracy on \(test.labels.count) images", name: variant.name, figure: accuracy * 100, unit: "%", median_seconds: 0,
                        ratio_to_float32: nil))
            }
            table.row(cells)
        }
    }
}

extension Matrix {
    /// Outputs of up to 32 rows of activations.
    fileprivate static func rows32(_ layer: any Layer, _ activations: Matrix) -> Matrix {
        layer(activations.repeatedRows(min(32, activations.rows)))
    }
}

/// 10 · log₁₀ of the power of `signal` over that of the difference.
private func decibels(signal: Matrix, noisy: Matrix) -> String {
    var power = 0.0, noise = 0.0
    for row in 0..<signal.rows {
        for column in 0..<signal.columns {
            let difference = Double(signal[row, column]) - Double(noisy[row, column])
            power += Double(signal[row, column]) * Double(signal[row, column])
            noise += difference * difference
        }
    }
    return noise == 0 ? "exact" : fixed(10 * log10(power / noise), 1) + " dB"
}
