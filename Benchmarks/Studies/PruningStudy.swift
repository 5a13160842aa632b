import ArgumentParser
import CompactNumerics
import ModelCompression

struct PruningStudy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pruning",
        abstract: "Magnitude, random and other scores, 2 to 64 times, local and global, one shot and iterative; small dense networks beside them.",
        discussion: "Ratio: all weights / kept weights, biases not counted. Fine-tuning of all rows but iterative ones takes the same epochs.")

    @OptionGroup var options: StudyOptions

    @Option(parsing: .upToNextOption, help: "Ratios of all weights to kept ones.")
    var ratios: [Double] = [2, 4, 12, 32, 64]

    /// What is compared.
    enum Part: String, CaseIterable, ExpressibleByArgument { case all, best, scores, dense, convolutions }

    @Option(help: "all; best: magnitude by the schedule that keeps most; scores; dense: small dense networks; convolutions: LeNet-5.")
    var part = Part.all

    func run() throws {
        for ratio in ratios where !(ratio > 1) { throw BenchmarkError("--ratios: expected numbers above 1, found \(ratio)") }
        let laboratory = try Laboratory(options, "Pruning")
        func includes(_ one: Part) -> Bool { part == .all || part == one }
        if part != .convolutions { try laboratory.row("dense") { try evaluate(laboratory.trained(seed: $0).network, laboratory.test) } }
        if includes(.best) {
            for ratio in ratios {
                try Self.prune(
                    laboratory, "\(name(ratio)) magnitude, global, cubic", PruningConfiguration(ratio: ratio, schedule: Self.gradual), epochs: 2)
            }
        }
        if includes(.scores) { for ratio in ratios { try compareScores(laboratory, ratio) } }
        if includes(.dense) { for ratio in ratios { try compareDense(laboratory, ratio) } }
        if includes(.convolutions) {
            guard laboratory.areLeNetImages || part == .all else {
                throw BenchmarkError("--part convolutions: expected images of 28×28, found samples of \(laboratory.training.shape)")
            }
            if laboratory.areLeNetImages { try structured(laboratory) }
        }
        try laboratory.finish()
    }

    static let gradual = PruningSchedule.cubic(begin: 0, end: 0.6, every: 100)
    private func name(_ ratio: Double) -> String { ratio == ratio.rounded() ? "\(Int(ratio))×" : "\(ratio)×" }

    /// A row: a trained network pruned and fine-tuned for `epochs` halves of a training run.
    static func prune(
        _ laboratory: Laboratory, _ name: String, _ configuration: PruningConfiguration, epochs: Int = 1, rounds: Int = 1,
        network: String = "dense", make: ((UInt64) throws -> TrainableNetwork)? = nil
    ) throws {
        try laboratory.row(name) { seed in
            let (network, snapshots) = try laboratory.trained(network, seed: seed, make: make)
            let fineTuning = laboratory.configuration(epochs: max(1, epochs * laboratory.epochs / 2 / rounds), seed: 1000 + seed)
            let pruner = try Pruner(network, configuration: configuration, data: laboratory.training)
            let result = try pruner.run(training: laboratory.training, fineTuning: fineTuning, snapshots: snapshots)
            let warnings = result.report.warnings.map { "; \($0)" }.joined()
            laboratory.note = "\(result.report.kept) of \(result.report.weights) weights\(warnings)"
            let deployed = try Deployment(minimumSparsity: 0).deploy(network)
            return try evaluate(deployed, laboratory.test)
        }
    }

    private func compareScores(_ laboratory: Laboratory, _ ratio: Double) throws {
        let label = name(ratio)
        func with(_ change: (inout PruningConfiguration) -> Void) -> PruningConfiguration {
            var configuration = PruningConfiguration(ratio: ratio)
            change(&configuration)
            return configuration
        }
        let prune = Self.prune
        try prune(laboratory, "\(label) magnitude, global, one shot", with { _ in }, 1, 1, "dense", nil)
        try prune(laboratory, "\(label) magnitude, per layer, one shot", with { $0.scope = .layer }, 1, 1, "dense", nil)
        try prune(laboratory, "\(label) magnitude, global, iterative in 3 rounds", with { $0.schedule = .iterative(rounds: 3) }, 3, 3, "dense", nil)
        try prune(laboratory, "\(label) magnitude, rewound to epoch 1", with { $0.start = .rewound(epoch: 0) }, 2, 1, "dense", nil)
        try prune(laboratory, "\(label) magnitude, re-initialized", with { $0.start = .reinitialized(seed: 77) }, 2, 1, "dense", nil)
        try prune(laboratory, "\(label) random", with { $0.score = .random(seed: 5) }, 1, 1, "dense", nil)
        for (text, score) in [
            ("gradient × weight (SNIP)", PruningScore.gradientTimesWeight), ("Taylor", .taylor),
            ("activation × weight (Wanda)", .activationTimesWeight),
            ("second order, diagonal (OBD)", .secondOrderDiagonal), ("second order, corrected (OBS)", .secondOrderCorrected),
        ] {
            try prune(laboratory, "\(label) \(text)", with { $0.score = score }, 1, 1, "dense", nil)
        }
    }

    // A dense network of as many weights, trained as long as training and fine-tuning together.
    private func compareDense(_ laboratory: Laboratory, _ ratio: Double) throws {
        let widths = laboratory.widths
        let target = Double(zip(widths, widths.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 }) / ratio
        func weights(_ factor: Double) -> (Int, [Int]) {
            var small = widths
            for index in 1..<widths.count - 1 { small[index] = max(1, Int((Double(widths[index]) * factor).rounded())) }
            return (zip(small, small.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 }, small)
        }
        var (low, high) = (0.0, 1.0)
        for _ in 0..<40 { if Double(weights((low + high) / 2).0) < target { low = (low + high) / 2 } else { high = (low + high) / 2 } }
        let (count, small) = weights(high)
        try laboratory.row("\(name(ratio)) small dense \(small.map(String.init).joined(separator: "-")), \(count) weights") { seed in
            let network = try laboratory.newNetwork(small, seed: seed)
            try laboratory.train(network, laboratory.configuration(epochs: laboratory.epochs * 3 / 2, seed: seed))
            return try evaluate(network, laboratory.test)
        }
    }

    // Convolutions: dense, pruned, and half of the channels really removed.
    private func structured(_ laboratory: Laboratory) throws {
        let make = laboratory.newLeNet5
        try laboratory.row("LeNet-5 dense, \(try make(0).weightedLayers.reduce(0) { $0 + $1.weight.value.count }) weights") {
            try evaluate(laboratory.trained("lenet5", seed: $0, make: make).network, laboratory.test)
        }
        let weights = Double(try laboratory.newNetwork(seed: 0).weightedLayers.reduce(0) { $0 + $1.weight.value.count })
        let lenet5 = Double(try make(0).weightedLayers.reduce(0) { $0 + $1.weight.value.count })
        // With hundreds of classes LeNet-5 is the larger one.
        if weights > lenet5 {
            try Self.prune(
                laboratory, "MLP pruned to as many weights as LeNet-5", PruningConfiguration(ratio: weights / lenet5, schedule: Self.gradual),
                epochs: 2)
        }
        try Self.prune(
            laboratory, "LeNet-5 12× magnitude, global, cubic", PruningConfiguration(ratio: 12, schedule: Self.gradual), epochs: 2, network: "lenet5",
            make: make)
        try removeChannels(laboratory, make)
    }

    private func removeChannels(_ laboratory: Laboratory, _ make: @escaping (UInt64) throws -> TrainableNetwork) throws {
        var ratios: [Double] = []
        let mean = try laboratory.row("LeNet-5, half of the channels removed") { seed in
            let (network, _) = try laboratory.trained("lenet5", seed: seed, make: make)
            let before = try network.deployed()
            let configuration = PruningConfiguration(sparsity: 0.5, granularity: .channels, scope: .layer)
            try Pruner(network, configuration: configuration).prune()
            let small = try network.removingPrunedOutputs()
            try laboratory.train(small, laboratory.configuration(seed: 1000 + seed))
            ratios.append(Self.speedUp(before, try small.deployed(), laboratory.test))
            return try evaluate(small, laboratory.test)
        }
        print("    measured on 32 images: \(ratios.map { fixed($0, 2) }.joined(separator: ", ")) times as fast; accuracy \(fixed(100 * mean, 2))")
    }

    /// Seconds of one network over those of another for 32 samples, measured in turn.
    static func speedUp(_ slow: Sequential, _ fast: Sequential, _ data: LabelledData) -> Double {
        let x = data.prefix(32).inputs
        let runs = [LayerRun(slow, x, .serial), LayerRun(fast, x, .serial)]
        let seconds = medianSeconds(runs.map { TimedCall(name: "", body: $0.callAsFunction) }, seconds: 0.3)
        return seconds[0] / seconds[1]
    }
}
