import ArgumentParser
import CompactNumerics
import Foundation
import ModelCompression
import ModelFiles

/// From a trained float32 network to a deployed small one, by a recipe.
struct Compress: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trains a network and compresses it by a recipe; measures accuracy, bytes, and time before and after.",
        discussion: """
            A recipe is JSON: {"name": "…", "steps": [{"train": {"epochs": 12}}, {"prune": {"ratio": 12, "schedule": "cubic"}},
            {"quantize": {"format": "w8a8"}}]}. Steps: train, prune, removePrunedOutputs, foldBatchNormalization, distil, trainQuantized, quantize.
            --print-recipe shows the default with every option spelled out. The network begins with a layer that standardizes its inputs, each
            feature of a table and the pixels of images, so the deployed one takes raw numbers.
            """)

    @OptionGroup var source: DataOptions

    @Option(help: ArgumentHelp("A recipe in JSON instead of the default one.", valueName: "file"))
    var recipe: String?

    @Option(help: "mlp (hidden layers of 300 and 100, below 10,000 samples of 100 and 50) or lenet-5, which takes images of 28×28.")
    var network = "mlp"

    @Option(help: "Seed of the first weights.")
    var seed: UInt64 = 0

    @Option(help: "Threads.")
    var threads = 1

    @Option(help: ArgumentHelp("Keep state in this folder: a run that is stopped goes on there.", valueName: "folder"))
    var state: String?

    @Option(help: ArgumentHelp("Write the deployed network to this file.", valueName: "file"))
    var output: String?

    @Option(help: ArgumentHelp("Also write the report as JSON to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Also write the report as a page with plots to this file.", valueName: "file"))
    var html: String?

    @Flag(help: "Print the recipe and end.")
    var printRecipe = false

    func run() throws {
        guard (1...1024).contains(threads) else { throw BenchmarkError("--threads: expected 1…1024, found \(threads)") }
        try OutputPaths.check([("--output", output), ("--json", json), ("--html", html)])
        let written = [("--output", output), ("--json", json), ("--html", html), ("--state", state)]
        if printRecipe, let (option, _) = written.first(where: { $0.1 != nil }) {
            throw BenchmarkError("\(option): expected none beside --print-recipe, which runs nothing, found one")
        }
        let (training, test) = try source.load()
        let scale = TrainingScale(samples: training.count), recipe = try chosenRecipe(scale)
        if printRecipe {
            print(String(decoding: recipe.json(), as: UTF8.self))
            return
        }
        MachineDescription(parallelism: Parallelism(threads: threads)).printHeader()
        // The network standardizes, so that what is written takes raw features.
        let network = try makeNetwork(training, scale).standardizingInputs(of: training)
        let run = try CompressionRun(recipe, network: network, training: training, test: test, threads: threads, directory: state)
        let progress = Progress(recipe.name)
        let report = try run.run { status in
            let detail =
                status.training.map { "epoch \($0.epoch + 1) of \($0.epochs), loss \(fixed($0.loss, 3)), \(Int($0.secondsRemaining)) s left" } ?? ""
            let warning = status.warnings.first.map { "; \($0)" } ?? ""
            progress.show("step \(status.step + 1) of \(status.steps), \(status.name) \(detail)\(warning)")
        }
        progress.clear()
        guard let report, let deployed = run.deployed else { return }
        print(report)
        if let output { try DeployedModel.write(deployed, to: output) }
        if let json { try OutputFile.replace(path: json, with: report.json()) }
        if let html { try OutputFile.replace(path: html, with: Data(CompressionPage.html(report, data: source.data).utf8)) }
    }

    private func chosenRecipe(_ scale: TrainingScale) throws -> CompressionRecipe {
        if let path = recipe {
            guard let text = FileManager.default.contents(atPath: path) else {
                throw BenchmarkError("--recipe \(path): expected a file that can be read, found none")
            }
            return try CompressionRecipe(json: text, path: path)
        }
        let training = RecipeTraining(epochs: scale.epochs, batchSize: scale.batchSize, seed: seed)
        let pruning = PruningConfiguration(ratio: scale.pruningRatio, schedule: .cubic(begin: 0, end: 0.6, every: scale.pruningInterval))
        return CompressionRecipe(
            name: "pruned \(Int(scale.pruningRatio)) times, then int8",
            steps: [
                .train(training), .prune(RecipePruning(pruning, fineTuning: training)),
                // One scale for a layer: a file deflates such codes better.
                .quantize(RecipeQuantization(QuantizationConfiguration(format: try WeightFormat(named: "w8a8-tensor")))),
            ])
    }

    private func makeNetwork(_ data: LabelledData, _ scale: TrainingScale) throws -> TrainableNetwork {
        switch network {
        case "mlp": return try .mlp(scale.widths(data), inputShape: data.shape, seed: seed)
        case "lenet-5": return try .lenet5(classes: data.classes, seed: seed)
        default: throw BenchmarkError("--network: expected mlp or lenet-5, found \(network)")
        }
    }
}
