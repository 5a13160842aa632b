import CompactNumerics
import Testing

@testable import ModelCompression

/// What is pruned stays exactly 0 through every step behind pruning, in any order.
@Suite struct MaskPersistenceTests {
    enum Step: CaseIterable { case remove, fold, equalize, train, distil }

    private static let granularities: [PruningGranularity] = [
        .weights, .blocks(rows: 2, columns: 2), .nOfM(keep: 1, of: 2), .units, .channels,
    ]

    private let data: LabelledData
    private let training = TrainerConfiguration(
        epochs: 1, batchSize: 8, optimizer: .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.05), learningRate: 1e-2)

    init() throws {
        data = try Small.data(24, shape: SampleShape(height: 12, width: 12, channels: 2))
    }

    private func make(_ step: Step, _ network: TrainableNetwork, teacher: TrainableNetwork) throws -> TrainableNetwork {
        switch step {
        case .remove: return try network.removingPrunedOutputs()
        case .fold: return try network.foldingBatchNormalization()
        case .equalize: network.equalizeLayers()
        case .train: _ = try Trainer(network, data: data, configuration: training).run()
        case .distil:
            let loss = try DistillationLoss(
                DistillationConfiguration(), student: network, data: data, teachers: [TeacherLogits(of: teacher, on: data)])
            _ = try Trainer(network, data: data, configuration: training, loss: loss).run()
        }
        return network
    }

    private func expectMasked(_ network: TrainableNetwork, kept: [Int], _ what: String) {
        #expect(network.weightedLayers.map(\.weight.activeCount) == kept, "\(what)")
        for parameter in network.parameters {
            guard let mask = parameter.mask else { continue }
            for tensor in [parameter.value] + parameter.moments {
                #expect(zip(tensor.elements, mask).allSatisfy { $1 != 0 || $0 == 0 }, "\(what): \(parameter.name)")
            }
        }
    }

    @Test(arguments: granularities, 0..<6) func masksSurviveStepsInAnyOrder(_ granularity: PruningGranularity, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let teacher = try Small.lenet5()
        var network = teacher.copy()
        try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, granularity: granularity)).prune()
        let kept = network.weightedLayers.map(\.weight.activeCount)
        var steps = Step.allCases
        generator.shuffle(&steps)
        for index in steps.indices {
            network = try make(steps[index], network, teacher: teacher)
            expectMasked(network, kept: kept, "\(granularity), \(steps[...index])")
        }
        try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w4a8)), data: data)
        expectMasked(network, kept: kept, "\(granularity), prepared behind \(steps)")
        network = try make(.train, network, teacher: teacher)
        expectMasked(network, kept: kept, "\(granularity), trained quantized behind \(steps)")
    }

    /// Folding makes weights and biases of normalization: a removed unit has neither, and training wakes nothing up.
    @Test func foldedBiasesOfPrunedUnitsStayMasked() throws {
        let network = try Small.lenet5()
        try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, granularity: .units)).prune()
        let folded = try network.foldingBatchNormalization()
        expectClose(folded.predict(data.inputs), network.predict(data.inputs), tolerance: 1e-4)
        // Behind fc1 normalization of its outputs follows at once, behind the convolutions too.
        for name in ["conv1", "conv2", "fc1"] {
            let mask = try #require(folded.weighted(name).bias?.mask, "\(name)")
            #expect(mask.count { $0 == 0 } == mask.count / 2, "\(name)")
        }
        _ = try Trainer(folded, data: data, configuration: training).run()
        let small = try folded.removingPrunedOutputs()
        #expect(small.weightedLayers.map(\.weight.value.count).reduce(0, +) == PruningReport(folded).kept)
    }

    /// A bias is free where normalization shifts its output.
    @Test func foldedBiasesOfOtherUnitsAreFree() throws {
        let network = try Small.lenet5(), layer = network.weighted("fc1")
        layer.bias!.mask = (0..<10).map { $0 < 5 ? 0 : 1 }
        let folded = try network.foldingBatchNormalization()
        #expect(folded.weighted("fc1").bias?.mask == nil)
        expectClose(folded.predict(data.inputs), network.predict(data.inputs), tolerance: 1e-4)
    }
}
