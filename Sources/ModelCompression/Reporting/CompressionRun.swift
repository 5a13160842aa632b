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
}

/// Runs a recipe. With a directory it can be stopped, or killed, and goes on there when it is run again: finished steps are read back, a
/// training within a step resumes from its last checkpoint.
public final class CompressionRun {
    public let recipe: CompressionRecipe
    /// The network as far as it is.
    public private(set) var network: TrainableNetwork
    /// What is deployed; nil before the last step.
    public private(set) var deployed: Sequential?
    public let training: LabelledData
    public let test: LabelledData
    public let threads: Int
    private let files: RunFiles?
    private let initial: TrainableNetwork
    private var records: [StepRecord] = []
    private var rewinding = RewindHook(epochs: [], files: nil)
    private var dense: TrainableNetwork?
    private var current: Trainer?
    private var isStopping = false
    private var report: ((TrainingProgress?) -> Void)?

    /// A run on a copy of `network`.
    ///
    /// - Parameter directory: where state is kept; made if it is absent. One of another recipe or network is refused.
    /// - Throws: the errors of `CompressionRecipe.validate(for:)`; `CompressionError.shapeMismatch` where data do not fit, `.otherNetwork` for the
    ///   directory of another run, `.file` where it cannot be made.
    public init(
        _ recipe: CompressionRecipe, network: TrainableNetwork, training: LabelledData, test: LabelledData, threads: Int = 1, directory: String? = nil
    ) throws(CompressionError) {
        try recipe.validate(for: network)
        for data in [training, test] { try requireMatch(network, data) }
        (self.recipe, initial, self.network, self.training, self.test, self.threads) = (
            recipe, network.copy(), network.copy(), training, test, threads
        )
        files = try directory.map { path throws(CompressionError) in try RunFiles(path, recipe: recipe, fingerprint: network.fingerprint) }
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
    /// - Throws: the errors of the steps.
    public func run(progress: ((CompressionProgress) -> Void)? = nil) throws -> CompressionReport? {
        isStopping = false
        try restore()
        for index in records.count..<recipe.steps.count {
            let step = recipe.steps[index]
            report = { progress?(CompressionProgress(step: index, steps: self.recipe.steps.count, name: step.name, training: $0)) }
            report?(nil)
            keepDense(before: index)
            let before = try accuracy(), start = ContinuousClock.now
            try make(step, index: index)
            if isStopping { return nil }
            records.append(
                StepRecord(
                    step: step.name, accuracyBefore: before, accuracyAfter: try accuracy(), keptWeights: PruningReport(network).kept,
                    seconds: (ContinuousClock.now - start) / .seconds(1)))
            try files?.save(network, records: records, training: training)
        }
        keepDense(before: recipe.steps.count)
        let deployed = try self.deployed ?? deploy()
        self.deployed = deployed
        return try CompressionReport(
            recipe: recipe.name, steps: records, dense: dense ?? network, network: network, deployed: deployed, test: test,
            parallelism: Parallelism(threads: threads))
    }

    // MARK: - State

    private func restore() throws {
        guard let files, records.isEmpty, let saved = try files.records() else { return }
        network = initial.copy()
        for index in saved.indices {
            keepDense(before: index) { try files.load(self.network, step: index - 1, training: self.training) }
            switch recipe.steps[index] {
            case .removePrunedOutputs, .foldBatchNormalization:
                if index > 0 { try files.load(network, step: index - 1, training: training) }
                try transform(recipe.steps[index])
            case .trainQuantized(let options): try network.prepareQuantizationAwareTraining(options.configuration, data: training)
            default: break
            }
        }
        if !saved.isEmpty { try files.load(network, step: saved.count - 1, training: training) }
        records = saved
    }

    // The network before compression: behind the steps that only train.
    private func keepDense(before index: Int, load: (() throws -> Void)? = nil) {
        guard dense == nil, index >= recipe.leadingTraining else { return }
        if index > 0 { try? load?() }
        dense = network.copy()
    }

    private func accuracy() throws -> Double {
        if let deployed { return try evaluate(deployed, test, parallelism: Parallelism(threads: threads)) }
        return try evaluate(network, test, threads: threads)
    }

    // MARK: - Steps

    private func make(_ step: CompressionStep, index: Int) throws {
        let parallelism = Parallelism(threads: threads)
        switch step {
        case .train(let options): try train(options, index: index, hooks: [rewinding])
        case .prune(let options):
            let pruner = try Pruner(network, configuration: options.pruning, data: training, parallelism: parallelism)
            _ = try pruner.run(
                training: training, fineTuning: options.fineTuning.configuration(threads: threads),
                hooks: [StopHook { [weak self] in self?.isStopping ?? false }],
                snapshots: rewinding.snapshots(for: initial), checkpointPath: files?.checkpoint(index), resumes: true
            ) { [self] in
                if let training = $0.training { report?(training) }
            }
        case .removePrunedOutputs, .foldBatchNormalization: try transform(step)
        case .distil(let options):
            let logits = try TeacherLogits(of: dense ?? network, on: training, threads: threads)
            let configuration = DistillationConfiguration(temperature: options.temperature, softWeight: options.softWeight)
            let loss = try DistillationLoss(configuration, student: network, data: training, teachers: [logits])
            try train(options.training, index: index, loss: loss)
        case .trainQuantized(let options):
            try network.prepareQuantizationAwareTraining(options.configuration, data: training, parallelism: parallelism)
            try train(options.training, index: index)
        case .quantize: deployed = try deploy()
        }
    }

    private func transform(_ step: CompressionStep) throws {
        network = step == .removePrunedOutputs ? try network.removingPrunedOutputs() : try network.foldingBatchNormalization()
    }

    private func train(
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

    // Masks become sparse layers where most is pruned; 8-bit formats keep them.
    private func deploy() throws -> Sequential {
        let granularity = recipe.granularity, isSparse = PruningReport(network).sparsity >= 0.6
        guard case .quantize(let options) = recipe.steps.last else {
            if case .trainQuantized = recipe.steps.last { return try network.deployedQuantized() }
            return try network.deployedSparse(granularity: granularity, minimumSparsity: 0.3)
        }
        if isSparse, options.configuration.format == .integer(.w8a8), options.configuration.layerFormats.isEmpty {
            return try network.deployedSparse(granularity: granularity, values: .int8, minimumSparsity: 0.6)
        }
        return try Quantizer(options.configuration, parallelism: Parallelism(threads: threads)).quantize(network, data: training)
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

extension CompressionRecipe {
    /// Steps at the beginning that only train.
    internal var leadingTraining: Int {
        steps.firstIndex { if case .train = $0 { false } else { true } } ?? steps.count
    }

    /// Of the last pruning.
    internal var granularity: PruningGranularity {
        steps.reduce(PruningGranularity.weights) { last, step in
            if case .prune(let options) = step { options.pruning.granularity } else { last }
        }
    }

    /// Epochs of training that a later step rewinds to.
    internal var rewindEpochs: Set<Int> {
        Set(
            steps.compactMap { step in
                if case .prune(let options) = step, case .rewound(let epoch) = options.pruning.start { epoch } else { nil }
            })
    }
}
