internal import CompactNumerics
internal import CKernels
internal import CTraining
internal import Foundation

/// Trains a network: mini-batches in seeded random order, gradients, optimizer steps, checkpoints.
///
/// A run is reproducible bit for bit for the same configuration on the same machine, and so is one that was interrupted and resumed.
/// It starts fresh: what an optimizer of an earlier training left in the parameters of network and loss is forgotten at its first step,
/// unless the run resumes a checkpoint or one that `stop` ended.
public final class Trainer {
    public let network: TrainableNetwork
    public let data: LabelledData
    /// Evaluated after each epoch, where given.
    public let validation: LabelledData?
    public let configuration: TrainerConfiguration
    public let loss: any TrainingLoss
    /// In the order in which they are called.
    public var hooks: [any TrainingHook]
    /// Written after each epoch and when the run is stopped: complete or not at all, so the last good one survives whatever goes wrong.
    public let checkpointPath: String?

    /// What the passes of this run see.
    public let context: TrainingContext
    internal var state: RunState
    /// Of `data`, for checkpoints; whoever knows it already may say so, since it takes a pass over all samples.
    internal lazy var dataChecksum = data.checksum
    /// Those of the network, then those of the loss.
    internal var parameters: [Parameter] { network.parameters + loss.parameters }
    private let input = Tensor()
    private let gradient = Tensor()
    private var order: [Int] = []
    private var orderedLabels: [Int] = []
    private var isStopping = false

    /// A run from its beginning.
    ///
    /// - Throws: the errors of `TrainerConfiguration.validate`; `CompressionError.shapeMismatch` where network and data do not fit,
    ///   `.outOfRange` without samples.
    public init(
        _ network: TrainableNetwork, data: LabelledData, validation: LabelledData? = nil, configuration: TrainerConfiguration,
        loss: any TrainingLoss = CrossEntropy(), hooks: [any TrainingHook] = [], checkpointPath: String? = nil
    ) throws(CompressionError) {
        try configuration.validate()
        for data in [data] + (validation.map { [$0] } ?? []) {
            try requireMatch(network, data)
            guard data.count > 0 else { throw .outOfRange(what: "samples of a training run", allowed: "at least 1", found: "0") }
        }
        (self.network, self.data, self.validation, self.configuration) = (network, data, validation, configuration)
        (self.loss, self.hooks, self.checkpointPath) = (loss, hooks, checkpointPath)
        context = TrainingContext(
            isTraining: true, arithmetic: configuration.arithmetic, parallelism: Parallelism(threads: configuration.threads))
        state = RunState(scale: LossScaleState(configuration.lossScaling), samples: data.count)
    }

    /// Steps of one epoch.
    public var stepsPerEpoch: Int { (data.count + configuration.batchSize - 1) / configuration.batchSize }
    /// Steps of the whole run.
    public var totalSteps: Int { stepsPerEpoch * configuration.epochs }
    /// Steps made and skipped so far: the index of the next one.
    public var step: Int { state.epoch * stepsPerEpoch + state.stepInEpoch }
    /// The current loss scale.
    public var lossScale: LossScaleState { state.scale }

    /// Ends the run after the current step, with a checkpoint. For hooks and progress closures.
    public func stop() {
        isStopping = true
    }

    /// Trains until the last epoch's end, or until `stop`.
    ///
    /// - Throws: `CompressionError.diverged` when the loss, a gradient or a parameter is NaN or infinite (the last checkpoint is left as it was),
    ///   `.file` if a checkpoint cannot be written, and what hooks throw.
    public func run(progress: ((TrainingProgress) -> Void)? = nil) throws -> TrainingHistory {
        isStopping = false
        if step == 0 { forgetMoments() }
        var history = TrainingHistory()
        let started = ContinuousClock.now
        let firstStep = step
        while state.epoch < configuration.epochs && !isStopping {
            try runEpoch(&history) { self.report(since: started, firstStep: firstStep, to: progress, endsEpoch: $0) }
        }
        (history.epochs, history.steps, history.skippedSteps) = (state.epochs, state.optimizerSteps, state.scale.skippedSteps)
        history.isComplete = state.epoch == configuration.epochs
        return history
    }

    // Adam corrects the bias of its moments by the steps of this run: moments of another one would make the first steps far too small.
    private func forgetMoments() {
        for parameter in parameters { parameter.moments = [] }
    }

    private func runEpoch(_ history: inout TrainingHistory, _ report: (Bool) -> Void) throws {
        shuffle()
        while state.stepInEpoch < stepsPerEpoch {
            let start = ContinuousClock.now
            let first = state.stepInEpoch * configuration.batchSize
            let range = first..<min(first + configuration.batchSize, data.count)
            try trainStep(range)
            history.samples += range.count
            history.trainingSeconds += (ContinuousClock.now - start) / .seconds(1)
            state.stepInEpoch += 1
            if state.stepInEpoch < stepsPerEpoch {
                report(false)
                if isStopping {
                    try requireFiniteNumbers()
                    return try writeCheckpoint()
                }
            }
        }
        try endEpoch()
        report(true)
    }

    private func endEpoch() throws {
        let epoch = state.epoch
        for hook in hooks { try hook.didEndEpoch(self, epoch: epoch) }
        try requireFiniteNumbers()
        let accuracy = try validation.map {
            try evaluate(network, $0, arithmetic: configuration.arithmetic, threads: configuration.threads)
        }
        state.epochs.append(
            EpochRecord(epoch: epoch, loss: state.meanLoss, accuracy: accuracy, learningRate: learningRate(step: step - 1)))
        (state.epoch, state.stepInEpoch, state.lossSum, state.lossSamples) = (epoch + 1, 0, 0, 0)
        try writeCheckpoint()
    }

    // A step can overflow although its loss and gradients are finite: such numbers must not replace the last good checkpoint.
    private func requireFiniteNumbers() throws(CompressionError) {
        let numbers = network.parameters.flatMap { parameter in ([parameter.value] + parameter.moments).map { (parameter.name, $0) } }
        for (name, values) in numbers + network.layers.flatMap(\.statistics).map({ ($0.name, $0.values) }) {
            let index = ck_first_not_finite_f32(values.pointer, values.count)
            guard index == values.count else {
                throw .diverged(epoch: state.epoch, step: step - 1, layer: name, found: "\(values.pointer[index])")
            }
        }
    }

    private func writeCheckpoint() throws {
        if let checkpointPath { try saveCheckpoint(to: checkpointPath) }
    }

    // The order of an epoch depends on seed and epoch alone, so a run can resume anywhere.
    private func shuffle() {
        var generator = SeededGenerator(seed: configuration.seed, stream: UInt64(state.epoch))
        let seeds = [generator.next(), generator.next(), generator.next(), generator.next()]
        order = [Int](unsafeUninitializedCapacity: data.count) { order, count in
            order.withMemoryRebound(to: Int64.self) { ck_permutation_i64($0.baseAddress!, data.count, seeds) }
            count = data.count
        }
        orderedLabels = [Int](unsafeUninitializedCapacity: data.count) { labels, count in
            labels.withMemoryRebound(to: Int64.self) { labels in
                Self.withIndices(order) { order in
                    Self.withIndices(data.labels) { ck_gather_i64($0, order, data.count, labels.baseAddress!) }
                }
            }
            count = data.count
        }
    }

    private static func withIndices<Result>(_ values: [Int], _ body: (UnsafePointer<Int64>) -> Result) -> Result {
        values.withUnsafeBufferPointer { values in values.withMemoryRebound(to: Int64.self) { body($0.baseAddress!) } }
    }
}

// MARK: - One step

extension Trainer {
    /// The learning rate of a step, from 0.
    public func learningRate(step: Int) -> Double {
        configuration.learningRate * configuration.schedule.factor(step: step, totalSteps: totalSteps, stepsPerEpoch: stepsPerEpoch)
    }

    private func trainStep(_ range: Range<Int>) throws {
        let step = step
        context.stepSeed = SplitMix64.mix(configuration.seed &+ SplitMix64.mix(UInt64(step)))
        let batch = gather(range)
        let logits = network.forward(input, context: context)
        gradient.reshape(rows: logits.rows, columns: logits.columns)
        let value = loss.evaluate(logits, batch: batch, gradient: gradient)
        guard value.isFinite else {
            let layer = network.firstNonFiniteOutput.map { "output of \($0)" } ?? "loss"
            throw CompressionError.diverged(epoch: state.epoch, step: step, layer: layer, found: "loss \(value)")
        }
        state.lossSum += value * Double(range.count)
        state.lossSamples += range.count
        let scale = state.scale.scale
        if scale != 1 { ck_scale_f32(gradient.pointer, gradient.count, scale) }
        let hidden = loss.hiddenGradients
        if scale != 1 { for (_, gradient) in hidden { ck_scale_f32(gradient.pointer, gradient.count, scale) } }
        network.backward(gradient, hidden: hidden, context: context)
        let scaled = network.parameters, parameters = scaled + loss.parameters
        if let damaged = parameters.last(where: { ck_first_not_finite_f32($0.gradient.pointer, $0.gradient.count) < $0.gradient.count }) {
            return try skip(damaged, step: step)
        }
        if scale != 1 { for parameter in scaled { ck_scale_f32(parameter.gradient.pointer, parameter.gradient.count, 1 / scale) } }
        for hook in hooks { try hook.willStep(self, step: step) }
        let rate = learningRate(step: step)
        for parameter in parameters { configuration.optimizer.update(parameter, rate: rate, step: state.optimizerSteps) }
        state.optimizerSteps += 1
        state.scale.didStep(configuration.lossScaling)
        for hook in hooks { try hook.didStep(self, step: step) }
    }

    private func skip(_ parameter: Parameter, step: Int) throws(CompressionError) {
        // Below 2⁻²⁴ the scale makes gradients vanish that are too large without it: no scale helps.
        guard configuration.lossScaling == .dynamic, state.scale.scale > 0x1p-24 else {
            let index = ck_first_not_finite_f32(parameter.gradient.pointer, parameter.gradient.count)
            throw .diverged(
                epoch: state.epoch, step: step, layer: "gradient of \(parameter.name)", found: "\(parameter.gradient.pointer[index])")
        }
        state.scale.didOverflow()
    }

    private func gather(_ range: Range<Int>) -> Batch {
        input.reshape(rows: range.count, columns: data.inputs.columns)
        data.inputs.withUnsafeBufferPointer { source in
            Self.withIndices(order) { order in
                ck_gather_rows_f32(source.baseAddress!, input.columns, order + range.lowerBound, range.count, input.pointer)
            }
        }
        return Batch(indices: Array(order[range]), labels: Array(orderedLabels[range]))
    }

    private func report(since started: ContinuousClock.Instant, firstStep: Int, to progress: ((TrainingProgress) -> Void)?, endsEpoch: Bool) {
        guard let progress else { return }
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        let (done, last) = (max(1, step - firstStep), state.epochs.last)
        progress(
            TrainingProgress(
                epoch: endsEpoch ? state.epoch - 1 : state.epoch, epochs: configuration.epochs, step: step, totalSteps: totalSteps,
                loss: endsEpoch ? last?.loss ?? 0 : state.meanLoss, accuracy: last?.accuracy, endsEpoch: endsEpoch,
                secondsRemaining: seconds / Double(done) * Double(totalSteps - step)))
    }
}

/// What a run remembers between steps, besides the network's numbers.
internal struct RunState: Codable, Equatable {
    var epoch = 0
    var stepInEpoch = 0
    var optimizerSteps = 0
    var lossSum = 0.0
    var lossSamples = 0
    var scale: LossScaleState
    var epochs: [EpochRecord] = []
    let samples: Int

    init(scale: LossScaleState, samples: Int) {
        (self.scale, self.samples) = (scale, samples)
    }

    /// Whether a run of so many steps can be in this state; a damaged checkpoint may hold anything.
    func isConsistent(epochs total: Int, stepsPerEpoch: Int) -> Bool {
        guard (0...total).contains(epoch), (0..<stepsPerEpoch).contains(stepInEpoch), epoch < total || stepInEpoch == 0 else { return false }
        let steps = epoch * stepsPerEpoch + stepInEpoch
        return (0...steps).contains(optimizerSteps) && scale.skippedSteps == steps - optimizerSteps && epochs.count == epoch
            && (0...samples).contains(lossSamples) && (0..<2000).contains(scale.goodSteps) && scale.scale.isNormal && scale.scale > 0
    }

    var meanLoss: Double { lossSamples > 0 ? lossSum / Double(lossSamples) : 0 }
}
