/// What one epoch of training gave.
public struct EpochRecord: Sendable, Hashable, Codable {
    /// From 0.
    public let epoch: Int
    /// Mean loss of the epoch's steps.
    public let loss: Double
    /// Share of validation samples classified rightly after the epoch; nil without validation data.
    public let accuracy: Double?
    /// The learning rate of the epoch's last step.
    public let learningRate: Double
}

/// What a run gave. Its duration is not part of equality: runs that computed the same are equal.
public struct TrainingHistory: Sendable, Equatable {
    public internal(set) var epochs: [EpochRecord] = []
    /// Optimizer steps made, and steps skipped because scaled gradients overflowed.
    public internal(set) var steps = 0
    public internal(set) var skippedSteps = 0
    /// False where `Trainer.stop` ended the run before its last epoch.
    public internal(set) var isComplete = false
    /// Wall-clock seconds of this run's steps alone, without evaluation and checkpoints.
    public internal(set) var trainingSeconds = 0.0
    /// Samples that went through in that time.
    public internal(set) var samples = 0

    /// Samples per second of training.
    public var throughput: Double { trainingSeconds > 0 ? Double(samples) / trainingSeconds : 0 }

    public static func == (left: TrainingHistory, right: TrainingHistory) -> Bool {
        (left.epochs, left.steps, left.skippedSteps, left.isComplete) == (right.epochs, right.steps, right.skippedSteps, right.isComplete)
    }
}

/// Where a run stands, after each step.
public struct TrainingProgress: Sendable {
    /// From 0.
    public let epoch: Int
    public let epochs: Int
    /// Steps of the run so far, and of the whole run.
    public let step: Int
    public let totalSteps: Int
    /// Mean loss of the epoch so far.
    public let loss: Double
    /// Of the last evaluation on validation data.
    public let accuracy: Double?
    /// Whether this step was the last one of its epoch; `accuracy` is then that of this epoch.
    public let endsEpoch: Bool
    /// Estimated wall-clock seconds to the end of the run.
    public let secondsRemaining: Double
}

/// Takes part in training: prunes while it runs, freezes scales, records gradients.
public protocol TrainingHook: AnyObject {
    /// Gradients are computed, divided by the loss scale and finite; the optimizer has not used them yet. Not called for skipped steps.
    func willStep(_ trainer: Trainer, step: Int) throws
    /// The optimizer has changed the parameters.
    func didStep(_ trainer: Trainer, step: Int) throws
    /// Called before validation and checkpoint of the epoch.
    func didEndEpoch(_ trainer: Trainer, epoch: Int) throws
    /// What a checkpoint has to keep so that a resumed run goes on exactly as this hook would; none by default.
    var checkpointState: String? { get }
    /// Takes back what `checkpointState` gave.
    func restore(checkpointState: String) throws
}

extension TrainingHook {
    public func willStep(_ trainer: Trainer, step: Int) throws {}
    public func didStep(_ trainer: Trainer, step: Int) throws {}
    public func didEndEpoch(_ trainer: Trainer, epoch: Int) throws {}
    public var checkpointState: String? { nil }
    public func restore(checkpointState: String) throws {}
}
