import ArgumentParser
import CompactNumerics
import Foundation
import ModelCompression
import ModelFiles

/// What compression does to accuracy, on real data.
struct Study: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What pruning, few bits, low-bit floats and distillation do to accuracy, on real data.",
        discussion: "Each row is the mean over the seeds, with the standard deviation; training of the networks is part of the study.",
        subcommands: [PruningStudy.self, BitsStudy.self, PrecisionStudy.self, DistillationStudy.self])
}

struct StudyOptions: ParsableArguments {
    @OptionGroup var source: DataOptions

    @Option(help: "Seeds: each row is trained once with each of 0, 1, ….")
    var seeds = 1

    @Option(help: "Epochs of training from the beginning; fine-tuning takes half of them. (default: 14, below 10,000 samples 30 or more)")
    var epochs: Int?

    @Flag(help: "Measure on the last sixth of the training samples, which are left out of training, instead of the test samples: to choose settings.")
    var validate = false

    @Option(help: ArgumentHelp("Also write the figures as JSON to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Also write a page with the figures as plots to this file.", valueName: "file"))
    var html: String?

    func check() throws {
        guard (1...100).contains(seeds) else { throw BenchmarkError("--seeds: expected 1…100, found \(seeds)") }
        try OutputPaths.check([("--json", json), ("--html", html)])
        if let epochs, !(1...1000).contains(epochs) { throw BenchmarkError("--epochs: expected 1…1000, found \(epochs)") }
    }
}

/// Data, trained networks and printed rows of one study.
final class Laboratory {
    let training: LabelledData
    let test: LabelledData
    let epochs: Int
    let seeds: Range<UInt64>
    private let scale: TrainingScale
    private let options: StudyOptions
    private var dense: [String: (network: TrainableNetwork, snapshots: [Int: NetworkSnapshot])] = [:]
    private var rows: [Row] = []
    private let table: Table
    private let progress: Progress
    /// Drawings for the page, in HTML.
    var figures: [String] = []
    private let title: String
    private let subtitle: String
    /// Printed at the end of the row that is being made.
    var note = ""

    /// One line of a study.
    struct Row: Codable {
        let name: String
        let accuracies: [Double]
        let notes: String
    }

    init(_ options: StudyOptions, _ title: String) throws {
        try options.check()
        var (training, test) = try options.source.load()
        if options.validate {
            let kept = training.count - training.count / 6
            test = training.selecting(Array(kept..<training.count))
            training = training.prefix(kept)
            guard test.count > 0 else {
                throw BenchmarkError("--validate: expected at least 6 samples for training, found \(kept)")
            }
        }
        // Standardized as users do: mean and deviation are those of the training data.
        let standardization = try Standardization(training)
        (self.training, self.test, self.options) = (training.standardized(standardization), test.standardized(standardization), options)
        scale = TrainingScale(samples: training.count)
        epochs = options.epochs ?? (scale.isSmall ? scale.epochs : 14)
        seeds = 0..<UInt64(options.seeds)
        progress = Progress(title)
        self.title = title
        subtitle =
            "\(options.source.data), \(training.count) samples for training, \(test.count) \(options.validate ? "left out for choosing" : "for testing"), "
            + "\(options.seeds) seed\(options.seeds == 1 ? "" : "s"), \(epochs) epochs"
        print("\(title): \(subtitle)\n")
        table = Table([("", 58), ("accuracy", 9), ("±", 6), ("seconds", 8), ("notes", 30)])
    }

    /// Widths of the network that is compressed: hidden layers of 300 and 100 units, with few samples of 100 and 50.
    var widths: [Int] { scale.widths(training) }
    var batchSize: Int { scale.batchSize }
    var isSmall: Bool { scale.isSmall }
    /// Whether LeNet-5 takes the samples.
    var areLeNetImages: Bool { training.shape == SampleShape(height: 28, width: 28, channels: 1) }

    func configuration(epochs: Int? = nil, seed: UInt64, rate: Double = 1e-3) -> TrainerConfiguration {
        TrainerConfiguration(
            epochs: epochs ?? self.epochs, batchSize: batchSize, optimizer: .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.05),
            learningRate: rate, seed: seed)
    }

    func newNetwork(_ widths: [Int]? = nil, seed: UInt64) throws -> TrainableNetwork {
        try .mlp(widths ?? self.widths, inputShape: training.shape, seed: seed)
    }

    func newLeNet5(seed: UInt64) throws -> TrainableNetwork {
        try .lenet5(classes: training.classes, seed: seed)
    }

    /// A copy of a network trained from the beginning, which is done once for each seed and name.
    func trained(
        _ name: String = "dense", seed: UInt64, make: ((UInt64) throws -> TrainableNetwork)? = nil
    ) throws -> (network: TrainableNetwork, snapshots: [Int: NetworkSnapshot]) {
        let key = "\(name) \(seed)"
        if dense[key] == nil {
            let network = try make?(seed) ?? newNetwork(seed: seed)
            let hook = SnapshotHook(network, epochs: [-1, 0])
            try train(network, configuration(seed: seed), hooks: [hook])
            dense[key] = (network, hook.snapshots)
        }
        return (dense[key]!.network.copy(), dense[key]!.snapshots)
    }

    @discardableResult
    func train(
        _ network: TrainableNetwork, _ configuration: TrainerConfiguration, data: LabelledData? = nil, loss: any TrainingLoss = CrossEntropy(),
        hooks: [any TrainingHook] = []
    ) throws -> TrainingHistory {
        try Trainer(network, data: data ?? training, configuration: configuration, loss: loss, hooks: hooks).run { [progress] in
            progress.show("epoch \($0.epoch + 1) of \($0.epochs), loss \(fixed($0.loss, 3)), \(Int($0.secondsRemaining)) s left")
        }
    }

    /// Runs `body` with each seed and prints the accuracies that it gives, 0…1, or a note where it throws that training diverged.
    @discardableResult
    func row(_ name: String, _ body: (UInt64) throws -> Double) throws -> Double {
        let start = now()
        var accuracies: [Double] = []
        note = ""
        for seed in seeds {
            do {
                accuracies.append(try body(seed))
            } catch CompressionError.diverged(let epoch, let step, let layer, let found) {
                note = "diverged in epoch \(epoch), step \(step): \(layer), \(found)"
            }
        }
        progress.clear()
        let mean = accuracies.reduce(0, +) / Double(max(1, accuracies.count))
        let variance = accuracies.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, accuracies.count - 1))
        table.row([
            name, accuracies.isEmpty ? "—" : fixed(100 * mean, 2), accuracies.count > 1 ? fixed(100 * variance.squareRoot(), 2) : "",
            fixed((now() - start) / Double(seeds.count), 1), note,
        ])
        rows.append(Row(name: name, accuracies: accuracies, notes: note))
        return mean
    }

    /// Writes the rows as JSON and as a page where that was asked for.
    func finish() throws {
        if let html = options.html {
            let page = StudyPage.html(title: title, subtitle: subtitle, rows: rows, figures: figures)
            try OutputFile.replace(path: html, with: Data(page.utf8))
        }
        guard let json = options.json else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try OutputFile.replace(path: json, with: encoder.encode(rows))
    }
}
