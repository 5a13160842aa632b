import CompactNumerics
@testable import ModelCompression
import Testing

/// A training starts without what the optimizer of another one remembered.
@Suite struct FreshTrainingTests {
    private static let optimizers: [Optimizer] = [.adam, .sgd(momentum: 0.9, weightDecay: 1e-3, nesterov: true)]

    private func configuration(_ optimizer: Optimizer, seed: UInt64) -> TrainerConfiguration {
        TrainerConfiguration(epochs: 2, batchSize: 50, optimizer: optimizer, learningRate: 5e-3, seed: seed)
    }

    private func withoutMoments(_ network: TrainableNetwork) -> TrainableNetwork {
        let copy = network.copy()
        for parameter in copy.parameters { parameter.moments = [] }
        return copy
    }

    @Test(arguments: optimizers) func aSecondTrainingGivesTheBitsOfACopyWithoutMoments(optimizer: Optimizer) throws {
        let data = try LabelledData.digits(.training).prefix(300), network = try TrainerTests.maskedNetwork()
        _ = try Trainer(network, data: data, configuration: configuration(optimizer, seed: 1)).run()
        #expect(network.parameters.allSatisfy { !$0.moments.isEmpty })
        let fresh = withoutMoments(network)
        let second = try Trainer(network, data: data, configuration: configuration(optimizer, seed: 2)).run()
        #expect(try Trainer(fresh, data: data, configuration: configuration(optimizer, seed: 2)).run() == second)
        #expect(fresh.bits == network.bits)
    }

    @Test(arguments: optimizers) func soDoesQuantizationAwareTraining(optimizer: Optimizer) throws {
        let data = try LabelledData.digits(.training).prefix(300), network = try TrainableNetwork.mlp([64, 20, 10])
        _ = try Trainer(network, data: data, configuration: configuration(optimizer, seed: 1)).run()
        let fresh = withoutMoments(network)
        for network in [network, fresh] {
            try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w2a8)))
            _ = try Trainer(network, data: data, configuration: configuration(optimizer, seed: 2)).run()
        }
        #expect(fresh.bits == network.bits)
    }

    /// The regressors of hints are parameters of the loss.
    @Test func theLossForgetsToo() throws {
        let data = try LabelledData.digits(.training).prefix(300), teacher = try TrainableNetwork.mlp([64, 24, 10], seed: 8)
        let logits = try TeacherLogits(of: teacher, on: data)
        var losses: [DistillationLoss] = [], students: [TrainableNetwork] = []
        for forgets in [false, true] {
            let student = try TrainableNetwork.mlp([64, 12, 10], seed: 9)
            let hints = DistillationConfiguration(hints: [HintPair(student: "relu1", teacher: "relu1")])
            let loss = try DistillationLoss(hints, student: student, data: data, teachers: [logits], hintTeacher: teacher)
            for seed in [1, 2] as [UInt64] {
                if forgets { for parameter in student.parameters + loss.parameters { parameter.moments = [] } }
                _ = try Trainer(student, data: data, configuration: configuration(.adam, seed: seed), loss: loss).run()
            }
            losses.append(loss)
            students.append(student)
        }
        #expect(students[0].bits == students[1].bits)
        #expect(losses[0].parameters.map(\.value.elements) == losses[1].parameters.map(\.value.elements))
    }

    /// `stop` and `run` again is one run.
    @Test func whatWasStoppedGoesOn() throws {
        let data = try LabelledData.digits(.training).prefix(300)
        let whole = try TrainerTests.network(), stopped = try TrainerTests.network()
        let expected = try Trainer(whole, data: data, configuration: configuration(.adam, seed: 1)).run()
        let trainer = try Trainer(stopped, data: data, configuration: configuration(.adam, seed: 1))
        #expect(try !trainer.run { if $0.step == 3 { trainer.stop() } }.isComplete)
        #expect(try trainer.run() == expected)
        #expect(stopped.bits == whole.bits)
    }
}
