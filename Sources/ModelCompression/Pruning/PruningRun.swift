internal import Foundation

extension Pruner {
    /// Prunes as the schedule says and fine-tunes: after one shot, during linear and cubic schedules, after each round of iterative ones,
    /// of which each is a run of `fineTuning` with the learning rate from its beginning.
    ///
    /// - Parameters:
    ///   - snapshots: numbers to rewind to by epoch, from `SnapshotHook`, where the configuration asks for them.
    ///   - checkpointPath: where fine-tuning writes its checkpoints; rounds after the first add ".round2" and so on.
    ///   - resumes: whether a round whose checkpoint is there already goes on from it, instead of pruning anew.
    ///   - progress: called after each scoring between runs and after each step.
    /// - Throws: `CompressionError.outOfRange` where the epoch to rewind to is absent, and the errors of `prune`, `Trainer.init` and
    ///   `Trainer.run`.
    public func run(
        training: LabelledData, validation: LabelledData? = nil, fineTuning: TrainerConfiguration, hooks: [any TrainingHook] = [],
        snapshots: [Int: NetworkSnapshot] = [:], checkpointPath: String? = nil, resumes: Bool = false,
        progress: ((PruningProgress) -> Void)? = nil
    ) throws -> PruningResult {
        var before: Double?
        if let validation {
            before = try evaluate(network, validation, arithmetic: fineTuning.arithmetic, threads: fineTuning.threads)
        }
        let rounds: Int
        var prunesFirst = true
        var hooks = hooks
        switch configuration.schedule {
        case .oneShot: rounds = 1
        case .iterative(let count): rounds = count
        case .linear, .cubic:
            (rounds, prunesFirst) = (1, false)
            hooks.append(try PruningHook(self))
        }
        var histories: [TrainingHistory] = []
        for round in 0..<rounds {
            let path = checkpointPath.map { round == 0 ? $0 : "\($0).round\(round + 1)" }
            let isBegun = resumes && path.map { FileManager.default.fileExists(atPath: $0) } ?? false
            if prunesFirst, !isBegun {
                let report = try prune(progress: Double(round + 1) / Double(rounds))
                progress?(PruningProgress(phase: .scoring, round: round, rounds: rounds, report: report, training: nil))
            }
            if !isBegun { try prepareFineTuning(snapshots) }
            let trainer = try Trainer(
                network, data: training, validation: validation, configuration: fineTuning, loss: loss, hooks: hooks, checkpointPath: path)
            if isBegun, let path { try trainer.resume(from: path) }
            histories.append(try trainer.run(progress: forward(progress, round: round, rounds: rounds)))
            if histories.last?.isComplete == false { break }
        }
        return PruningResult(
            report: PruningReport(network), histories: histories, accuracyBefore: before, accuracy: histories.last?.epochs.last?.accuracy ?? nil)
    }

    private func prepareFineTuning(_ snapshots: [Int: NetworkSnapshot]) throws(CompressionError) {
        switch configuration.start {
        case .keptWeights: for parameter in network.parameters { parameter.moments = [] }
        case .reinitialized(let seed): network.reinitialize(seed: seed)
        case .rewound(let epoch):
            guard let snapshot = snapshots[epoch] else {
                throw .outOfRange(what: "epoch to rewind to", allowed: "one of \(snapshots.keys.sorted())", found: "\(epoch)")
            }
            try snapshot.restore(network)
        }
    }

    // Reports count weights; between prunings they do not change, so they are made once an epoch at most.
    private func forward(_ progress: ((PruningProgress) -> Void)?, round: Int, rounds: Int) -> ((TrainingProgress) -> Void)? {
        guard let progress else { return nil }
        var report = PruningReport(network)
        var epoch = -1
        return { [network] training in
            if training.epoch != epoch || training.endsEpoch { report = PruningReport(network) }
            epoch = training.epoch
            progress(PruningProgress(phase: .fineTuning, round: round, rounds: rounds, report: report, training: training))
        }
    }
}
