import CompactNumerics
import Foundation
import ModelCompression
import Testing

@Suite struct PruningScheduleTests {
    @Test func closedForms() {
        for step in 0...10 {
            let t = Double(step) / 10
            #expect(PruningSchedule.oneShot.sparsity(target: 0.9, progress: t) == 0.9)
            #expect(abs(PruningSchedule.linear().sparsity(target: 0.9, progress: t) - 0.9 * t) < 1e-12)
            #expect(abs(PruningSchedule.cubic().sparsity(target: 0.9, progress: t) - 0.9 * (1 - pow(1 - t, 3))) < 1e-12)
            #expect(abs(PruningSchedule.iterative(rounds: 10).sparsity(target: 0.9, progress: t) - (1 - pow(0.1, t))) < 1e-12)
        }
        #expect(PruningSchedule.iterative(rounds: 2).sparsity(target: 1, progress: 0.5) == 0.5)
    }

    @Test func hookPrunesAtItsSteps() throws {
        let data = try Small.data()  // 40 samples: 5 steps of 8
        for schedule in [PruningSchedule.linear(begin: 0.1, end: 0.8, every: 3), .cubic(begin: 0.1, end: 0.8, every: 3), .oneShot] {
            let network = try Small.mlp()
            let hook = try PruningHook(Pruner(network, configuration: PruningConfiguration(sparsity: 0.75, schedule: schedule)))
            var found: [Int: Int] = [:]
            hook.didPrune = { found[$0] = $1.weights - $1.kept }
            _ = try Trainer(network, data: data, configuration: TrainerConfiguration(epochs: 4, batchSize: 8), hooks: [hook]).run()
            // 20 steps: from step 2 (0.1 · 19) to 15 (0.8 · 19), every third.
            var expected = [0: 60]
            if schedule != .oneShot {
                expected = [:]
                for step in [5, 8, 11, 14, 15] {
                    let s = schedule.sparsity(target: 0.75, progress: Double(step - 2) / 13)
                    expected[step] = Int((80 * s).rounded())
                }
            }
            #expect(found == expected)
            #expect(hook.report?.kept == 20 && PruningReport(network).ratio == 4)
        }
        let rounds = try Pruner(Small.mlp(), configuration: PruningConfiguration(sparsity: 0.5, schedule: .iterative(rounds: 2)))
        #expect(throws: CompressionError.self) { try PruningHook(rounds) }
    }

    @Test(arguments: [
        Optimizer.sgd(momentum: 0.9, weightDecay: 1e-2, nesterov: false), .sgd(momentum: 0.9, weightDecay: 1e-2, nesterov: true),
        .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-2),
    ])
    func masksHoldThroughMomentumAndDecay(_ optimizer: Optimizer) throws {
        let network = try Small.mlp(), data = try Small.data()
        let configuration = TrainerConfiguration(epochs: 2, batchSize: 8, optimizer: optimizer)
        // Momentum is there before the masks are.
        let trainer = try Trainer(network, data: data, configuration: configuration)
        _ = try trainer.run { if $0.step == 3 { trainer.stop() } }
        try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5)).prune()
        _ = try trainer.run()
        for layer in network.weightedLayers {
            for (index, keep) in network.mask(layer.name).enumerated() where keep == 0 {
                #expect(layer.weight.value.elements[index] == 0)
                for moment in layer.weight.moments { #expect(moment.elements[index] == 0) }
            }
            #expect(layer.weight.value.elements.count { $0 != 0 } == layer.weight.activeCount)
        }
    }

    @Test func resumedRunPrunesAsTheUninterruptedOne() throws {
        let data = try Small.data()
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("pruning-\(UUID().uuidString).safetensors").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        func trainer(checkpoint: String?) throws -> Trainer {
            let network = try Small.mlp()
            let pruning = PruningConfiguration(sparsity: 0.8, score: .taylor, schedule: .cubic(begin: 0, end: 0.7, every: 2), scoreBatchSize: 8)
            let hook = try PruningHook(Pruner(network, configuration: pruning, data: data))
            return try Trainer(
                network, data: data, configuration: TrainerConfiguration(epochs: 4, batchSize: 8), hooks: [hook], checkpointPath: checkpoint)
        }
        let whole = try trainer(checkpoint: nil)
        _ = try whole.run()
        let first = try trainer(checkpoint: path)
        _ = try first.run { if $0.step == 9 { first.stop() } }
        #expect(first.network.weighted("fc1").weight.mask != nil)
        let second = try trainer(checkpoint: nil)
        try second.resume(from: path)
        _ = try second.run()
        for (a, b) in zip(whole.network.parameters, second.network.parameters) {
            #expect(a.value.elements == b.value.elements && a.mask == b.mask, "\(a.name)")
        }
        #expect(PruningReport(second.network).kept == 16)
    }

    @Test func roundsRewindAndReinitialize() throws {
        let data = try Small.data()
        for start in [FineTuningStart.keptWeights, .rewound(epoch: 0), .rewound(epoch: -1), .reinitialized(seed: 3)] {
            let network = try Small.mlp()
            let initial = network.weighted("fc1").weight.value.elements
            let snapshots = SnapshotHook(network, epochs: [-1, 0])
            _ = try Trainer(network, data: data, configuration: TrainerConfiguration(epochs: 2, batchSize: 8), hooks: [snapshots]).run()
            let configuration = PruningConfiguration(sparsity: 0.75, schedule: .iterative(rounds: 2), start: start)
            // A rate so small that fine-tuning changes nothing that a comparison would see.
            let fineTuning = TrainerConfiguration(epochs: 1, batchSize: 8, learningRate: 1e-12)
            var kept: Set<Int> = []
            let result = try Pruner(network, configuration: configuration).run(
                training: data, validation: data, fineTuning: fineTuning, snapshots: snapshots.snapshots
            ) { kept.insert($0.report.kept) }
            #expect(kept == [40, 20] && result.report.kept == 20 && result.histories.count == 2)
            #expect(result.accuracy != nil && result.accuracyBefore != nil)
            let mask = network.mask("fc1")
            if start == .rewound(epoch: -1) {
                for (index, value) in network.weighted("fc1").weight.value.elements.enumerated() {
                    #expect(abs(value - (mask[index] == 0 ? 0 : initial[index])) < 1e-6)
                }
            }
        }
        let missing = try Pruner(Small.mlp(), configuration: PruningConfiguration(sparsity: 0.5, start: .rewound(epoch: 7)))
        #expect(throws: CompressionError.self) { try missing.run(training: data, fineTuning: TrainerConfiguration(epochs: 1)) }
    }

    @Test func gradualRunReachesItsTarget() throws {
        let data = try Small.data()
        let network = try Small.mlp()
        let configuration = PruningConfiguration(sparsity: 0.9, schedule: .cubic(begin: 0, end: 0.5, every: 2))
        let result = try Pruner(network, configuration: configuration).run(
            training: data, fineTuning: TrainerConfiguration(epochs: 3, batchSize: 8))
        #expect(result.report.kept == 8 && result.histories.count == 1)
    }
}
