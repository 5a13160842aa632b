internal import Foundation

/// Prunes during training, as a linear or cubic schedule says. Masks, and with them the state of the schedule, are part of checkpoints.
public final class PruningHook: TrainingHook {
    public let pruner: Pruner
    /// Called after each pruning with the step, from 0, behind which it took place.
    public var didPrune: ((Int, PruningReport) -> Void)?
    /// What the last pruning left; nil before the first.
    public private(set) var report: PruningReport?

    /// - Throws: `CompressionError.outOfRange` for a schedule of rounds, which are runs of their own: `Pruner.run` makes them.
    public init(_ pruner: Pruner) throws(CompressionError) {
        if case .iterative = pruner.configuration.schedule {
            throw .outOfRange(
                what: "schedule of a pruning hook", allowed: "one shot, linear or cubic", found: "\(pruner.configuration.schedule)")
        }
        self.pruner = pruner
    }

    /// The progress 0…1 that the schedule has behind `step` of `totalSteps`; nil where nothing is pruned there.
    ///
    /// It prunes behind step b (the rounded share `begin` of all steps), b + every, b + 2 · every, …, and at the end e (of `end`).
    public static func progress(_ schedule: PruningSchedule, step: Int, totalSteps: Int) -> Double? {
        switch schedule {
        case .oneShot: return step == 0 ? 1 : nil
        case .iterative: return nil
        case .linear(let begin, let end, let every), .cubic(let begin, let end, let every):
            let last = max(0, totalSteps - 1)
            let first = Int((begin * Double(last)).rounded()), final = Int((end * Double(last)).rounded())
            guard step >= first, step <= final else { return nil }
            if step == final { return 1 }
            return (step - first) % every == 0 ? Double(step - first) / Double(final - first) : nil
        }
    }

    public func didStep(_ trainer: Trainer, step: Int) throws {
        guard let progress = Self.progress(pruner.configuration.schedule, step: step, totalSteps: trainer.totalSteps), progress > 0
        else { return }
        let report = try pruner.prune(progress: progress)
        self.report = report
        didPrune?(step, report)
    }

    public var checkpointState: String? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return (try? encoder.encode(State(configuration: pruner.configuration, report: report))).map { String(decoding: $0, as: UTF8.self) }
    }

    /// - Throws: `CompressionError.outOfRange` for the state of another pruning.
    public func restore(checkpointState: String) throws {
        guard let state = try? JSONDecoder().decode(State.self, from: Data(checkpointState.utf8)),
            state.configuration.resolved == pruner.configuration.resolved
        else {
            throw CompressionError.outOfRange(what: "checkpoint of pruning", allowed: "\(pruner.configuration)", found: checkpointState)
        }
        report = state.report
    }

    private struct State: Codable {
        let configuration: PruningConfiguration
        let report: PruningReport?
    }
}
