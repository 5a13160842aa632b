public import CompactNumerics
internal import Foundation

/// Where a recipe's run stands.
public struct CompressionProgress: Sendable {
    /// From 0.
    public let step: Int
    public let steps: Int
    public let name: String
    /// Of the training within the step, if it trains.
    public let training: TrainingProgress?
    /// Layers of which the pruning of this step has left next to nothing so far, as `PruningReport.warnings` says it.
    public let warnings: [String]
}

/// Runs a recipe. With a directory it can be stopped, or killed, and goes on there when it is run again: finished steps are read back, a
/// training within a step resumes from its last checkpoint.
public final class CompressionRun {
    public let recipe: CompressionRecipe
    /// The network as far as it is.
    public internal(set) var network: TrainableNetwork
    /// What is deployed; nil before the last step.
    public private(set) var deployed: Sequential?
    public let training: LabelledData
    public let test: LabelledData
    public let threads: Int
    internal var parallelism: Parallelism { Parallelism(threads: threads) }
    internal let rewinding: RewindHook
    private let files: RunFiles?
    private let initial: TrainableNetwork
    private var records: [StepRecord] = []
    private var warnings: [String] = []
    private var dense: TrainableNetwork?
    private var current: Trainer?
    private var isStopping = false
    private var report: ((TrainingProgress?) -> Void)?

    /// A run on a copy of `network`.
    ///
    /// - Parameter directory: where state is kept; made if it is absent. One of another recipe, network, numbers or data is refused.
    /// - Throws: the errors of `CompressionRecipe.validate(for:)`; `CompressionError.shapeMismatch` where data do not fit, `.otherNetwork` for the
    ///   directory of another run, `.damagedFile` for one whose state cannot be read, `.file` where it cannot be made.
    public init(
        _ recipe: CompressionRecipe, network: TrainableNetwork, training: LabelledData, test: LabelledData, threads: Int = 1, directory: String? = nil
    ) throws(CompressionError) {
        try recipe.validate(for: network)
        for data in [training, test] { try requireMatch(network, data) }
        (self.recipe, initial, self.network, self.training, self.test, self.threads) = (
            recipe, network.copy(), network.copy(), training, test, threads
        )
        let files = try directory.map { path throws(CompressionError) in
            try RunFiles(path, RunIdentity(recipe: recipe, network: network, training: training, test: test))
        }
        self.files = files
        rewinding = RewindHook(epochs: recipe.rewindEpochs, files: files)
    }

    /// Ends the run after the current training step; with a directory, running again goes on there. For progress closures.
    public func stop() {
        isStopping = true
        current?.stop()
    }

    /// Makes all steps, or those that are left.
    ///
    /// - Returns: the report, or nil if `stop` was called.
    /// - Throws: the errors of the steps, and for a directory those of reading it; `CompressionError.file` of kind `inUse` while another run uses it.
    public func run(progress: ((CompressionProgress) -> Void)? = nil) throws -> CompressionReport? {
        isStopping = false
        let lock = try files?.lock()
        defer { withExtendedLifetime(lock) {} }
        try files?.begin()
        try restore()
        for index in records.count..<recipe.steps.count {
            let step = recipe.steps[index]
            report = { [self] in
                progress?(CompressionProgress(step: index, steps: recipe.steps.count, name: step.name, training: $0, warnings: warnings))
            }
            warnings = []
            report?(nil)
            keepDense(before: index)
            let before = try accuracy(), start = ContinuousClock.now
            try step.step.make(self, index: index)
            if isStopping { return nil }
            let left = PruningReport(network)
            records.append(
                StepRecord(
                    step: step.name, accuracyBefore: before, accuracyAfter: try accuracy(), keptWeights: left.kept,
                    seconds: (ContinuousClock.now - start) / .seconds(1), warnings: step.name == RecipePruning.name ? left.warnings : []))
            try files?.save(network, records: records, training: training)
        }
        keepDense(before: recipe.steps.count)
        if deployed == nil { try deploy() }
        return try CompressionReport(
            recipe: recipe.name, steps: records, dense: teacher, network: network, deployed: deployed!, test: test, parallelism: parallelism)
    }

    // MARK: - State

    /// Every finished step is made again as far as it changes the structure, and its numbers are read, so that no damaged file goes unseen.
    private func restore() throws {
        guard let files, records.isEmpty, let saved = try files.records() else { return }
        network = initial.copy()
        for index in saved.indices {
            keepDense(before: index)
            try recipe.steps[index].step.remakeStructure(self)
            try files.load(network, step: index, training: training)
        }
        records = saved
    }

    private func keepDense(before index: Int) {
        if dense == nil, index >= recipe.leadingTraining { dense = network.copy() }
    }

    /// The network before compression: behind the steps that only train.
    internal var teacher: TrainableNetwork { dense ?? network }

    private func accuracy() throws -> Double {
        if let deployed { return try evaluate(deployed, test, parallelism: parallelism) }
        return try evaluate(network, test, threads: threads)
    }
}

// MARK: - What steps do

extension CompressionRun {
    /// Trains the network as it is; goes on from the checkpoint of the step if there is one.
    internal func train(
        _ options: RecipeTraining, index: Int, loss: any TrainingLoss = CrossEntropy(), hooks: [any TrainingHook] = []
    ) throws {
        let path = files?.checkpoint(index)
        let trainer = try Trainer(
            network, data: training, configuration: options.configuration(threads: threads), loss: loss, hooks: hooks, checkpointPath: path)
        if let path, FileManager.default.fileExists(atPath: path) { try trainer.resume(from: path) }
        current = trainer
        defer { current = nil }
        _ = try trainer.run { [self] in report?($0) }
    }

    /// Prunes and fine-tunes; goes on from the checkpoint of the step if there is one.
    internal func prune(_ pruner: Pruner, fineTuning: RecipeTraining, index: Int) throws {
        _ = try pruner.run(
            training: training, fineTuning: fineTuning.configuration(threads: threads),
            hooks: [StopHook { [weak self] in self?.isStopping ?? false }],
            snapshots: rewinding.snapshots(for: initial), checkpointPath: files?.checkpoint(index), resumes: true
        ) { [self] in
            warnings = $0.warnings
            if let training = $0.training { report?(training) }
        }
    }

    /// The network as an app runs it, as the last step says.
    internal func deploy() throws {
        var quantization: QuantizationConfiguration?
        switch recipe.steps.last {
        case .quantize(let options): quantization = options.configuration
        case .trainQuantized(let options): quantization = options.configuration
        default: break
        }
        let deployment = Deployment(quantization: quantization, granularities: recipe.granularities, parallelism: parallelism)
        deployed = try deployment.deploy(network, data: training)
    }
}

/// Ends a training within a step when the run is to stop.
private final class StopHook: TrainingHook {
    private let isStopping: () -> Bool

    init(_ isStopping: @escaping () -> Bool) { self.isStopping = isStopping }

    func didStep(_ trainer: Trainer, step: Int) {
        if isStopping() { trainer.stop() }
    }
}
