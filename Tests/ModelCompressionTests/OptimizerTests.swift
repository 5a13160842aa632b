import CompactNumerics
import Foundation
@testable import ModelCompression
import Testing

@Suite struct OptimizerTests {
    static let optimizers: [Optimizer] = [
        .sgd, .sgd(momentum: 0, weightDecay: 0, nesterov: false), .sgd(momentum: 0.9, weightDecay: 0, nesterov: true), .adam,
    ]

    /// ½ Σ aᵢ (wᵢ − tᵢ)² has its minimum at t.
    @Test(arguments: optimizers) func findsTheKnownOptimum(optimizer: Optimizer) {
        let curvature: [Float] = [0.5, 1, 2, 4], target: [Float] = [1, -2, 3, 0.25]
        let parameter = Parameter(name: "w", value: Tensor(rows: 1, columns: 4), decays: true)
        for step in 0..<2000 {
            for i in 0..<4 { parameter.gradient.pointer[i] = curvature[i] * (parameter.value.pointer[i] - target[i]) }
            optimizer.update(parameter, rate: step < 1500 ? 0.02 : 0.002, step: step)
        }
        for i in 0..<4 { #expect(abs(parameter.value.pointer[i] - target[i]) < 1e-3) }
    }

    /// Y = X · Wᵀ + b has one W and b of least squared error, the ones that made Y: a whole run finds them.
    @Test(arguments: optimizers) func aTrainingRunSolvesALinearProblem(optimizer: Optimizer) throws {
        final class SquaredError: TrainingLoss {
            let targets: Tensor
            init(_ targets: Tensor) { self.targets = targets }
            func evaluate(_ logits: Tensor, batch: Batch, gradient: Tensor) -> Double {
                var loss = 0.0
                for (row, index) in batch.indices.enumerated() {
                    for column in 0..<logits.columns {
                        let error = logits[row, column] - targets[index, column]
                        gradient[row, column] = error / Float(logits.rows)
                        loss += Double(error * error) / 2
                    }
                }
                return loss / Double(logits.rows)
            }
        }
        var generator = SeededGenerator(seed: 5)
        let truth = DenseLayer("fc1", inputs: 3, outputs: 2, generator: &generator)
        let x = generator.tensor(40, 3)
        let loss = SquaredError(truth.forward(x, context: TrainingContext()).copy())
        let data = try LabelledData(inputs: x.matrix, labels: [Int](repeating: 0, count: 40), classes: 2, shape: SampleShape(3))
        let network = try TrainableNetwork.mlp([3, 2], seed: 8)
        let rate = optimizer == .adam ? 0.05 : 0.1
        let configuration = TrainerConfiguration(epochs: 300, batchSize: 20, optimizer: optimizer, learningRate: rate)
        _ = try Trainer(network, data: data, configuration: configuration, loss: loss).run()
        for (found, expected) in zip(network.parameters, truth.parameters) {
            for (a, b) in zip(found.value.elements, expected.value.elements) { #expect(abs(a - b) < 1e-3, "\(found.name)") }
        }
    }

    /// The update rules again in float64.
    @Test func followTheirRules() {
        var generator = SeededGenerator(seed: 1)
        let gradients = (0..<5).map { _ in generator.gaussian() }
        var (w, v, m, s) = (0.7, 0.0, 0.0, 0.0)
        let nesterov = Parameter(name: "w", value: Tensor(rows: 1, columns: 1), decays: true), adam = nesterov.copy()
        nesterov.value[0, 0] = 0.7
        adam.value[0, 0] = 0.7
        for (step, g) in gradients.enumerated() {
            nesterov.gradient[0, 0] = Float(g)
            Optimizer.sgd(momentum: 0.8, weightDecay: 0.1, nesterov: true).update(nesterov, rate: 0.05, step: step)
            let decayed = g + 0.1 * w
            v = 0.8 * v + decayed
            w -= 0.05 * (decayed + 0.8 * v)
            #expect(abs(Double(nesterov.value[0, 0]) - w) < 1e-6)
        }
        w = 0.7
        for (step, g) in gradients.enumerated() {
            adam.gradient[0, 0] = Float(g)
            Optimizer.adam(beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1).update(adam, rate: 0.05, step: step)
            m = 0.9 * m + 0.1 * g
            s = 0.99 * s + 0.01 * g * g
            let t = Double(step + 1)
            w -= 0.05 * (m / (1 - pow(0.9, t)) / ((s / (1 - pow(0.99, t))).squareRoot() + 1e-8) + 0.1 * w)
            #expect(abs(Double(adam.value[0, 0]) - w) < 1e-5)
        }
    }

    /// v = momentum · v + g + decay · w, w −= rate · v: heavy-ball momentum moves on where the gradient has ended.
    @Test func plainMomentumMovesByItsVelocity() {
        let parameter = Parameter(name: "w", value: Tensor(rows: 1, columns: 9), decays: true)
        var w = 0.7, v = 0.0
        for i in 0..<9 { parameter.value.pointer[i] = 0.7 }
        for (step, g) in [1.0, -0.25, 0, 0, 2].enumerated() {
            for i in 0..<9 { parameter.gradient.pointer[i] = Float(g) }
            Optimizer.sgd(momentum: 0.8, weightDecay: 0.1, nesterov: false).update(parameter, rate: 0.05, step: step)
            v = 0.8 * v + g + 0.1 * w
            w -= 0.05 * v
            for i in 0..<9 { #expect(abs(Double(parameter.value.pointer[i]) - w) < 1e-6, "step \(step)") }
        }
    }

    /// w −= rate · m̂ / (√v̂ + epsilon): where gradients are small against epsilon, or of its size, its place shows.
    @Test(arguments: [1e-2, 1e-4, 1.0]) func adamAddsEpsilonToTheRoot(epsilon: Double) {
        for gradient in [epsilon / 8, epsilon, 8 * epsilon] {
            let parameter = Parameter(name: "w", value: Tensor(rows: 1, columns: 9), decays: true)
            for step in 0..<3 {
                for i in 0..<9 { parameter.gradient.pointer[i] = Float(gradient) * (i % 2 == 0 ? 1 : -1) }
                Optimizer.adam(beta1: 0.9, beta2: 0.99, epsilon: Float(epsilon), weightDecay: 0).update(parameter, rate: 0.5, step: step)
            }
            // Constant gradients: the corrected moments are the gradient and its square, so that each step is the same.
            let expected = 3 * 0.5 * gradient / (gradient + epsilon)
            for i in 0..<9 {
                let moved = -Double(parameter.value.pointer[i]) * (i % 2 == 0 ? 1 : -1)
                #expect(abs(moved - expected) < 1e-4 * expected, "gradient \(gradient), epsilon \(epsilon)")
            }
        }
    }

    @Test(arguments: [
        Optimizer.sgd(momentum: 0.9, weightDecay: 0.1, nesterov: true), .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1),
    ]) func masksHoldThroughMomentumAndDecay(optimizer: Optimizer) {
        var generator = SeededGenerator(seed: 2)
        let parameter = Parameter(name: "w", value: generator.tensor(3, 7), decays: true)
        func step(_ index: Int) {
            parameter.gradient.assign(generator.tensor(3, 7))
            optimizer.update(parameter, rate: 0.1, step: index)
        }
        for index in 0..<3 { step(index) }
        parameter.mask = (0..<21).map { $0 % 3 == 0 ? 0 : 1 }
        for index in 3..<9 {
            for tensor in [parameter.value] + parameter.moments {
                for i in 0..<21 { #expect((tensor.pointer[i] == 0) == (i % 3 == 0)) }
            }
            step(index)
        }
        #expect(parameter.activeCount == 14)
    }

    @Test func schedulesFollowTheirFormulas() {
        let cosine = LearningRateSchedule(.cosine(floor: 0.1), warmUpSteps: 10)
        for step in 0..<10 { #expect(cosine.factor(step: step, totalSteps: 110, stepsPerEpoch: 11) == Double(step + 1) / 10) }
        for step in 10...110 {
            let expected = 0.1 + 0.45 * (1 + cos(Double.pi * Double(step - 10) / 100))
            #expect(abs(cosine.factor(step: step, totalSteps: 110, stepsPerEpoch: 11) - expected) < 1e-15)
        }
        let steps = LearningRateSchedule(.step(epochs: 2, factor: 0.5))
        #expect([0, 19, 20, 39, 40].map { steps.factor(step: $0, totalSteps: 100, stepsPerEpoch: 10) } == [1, 1, 0.5, 0.5, 0.25])
        #expect(LearningRateSchedule.constant.factor(step: 99, totalSteps: 100, stepsPerEpoch: 10) == 1)
    }

    @Test func wrongOptionsAreNamed() {
        let wrong: [TrainerConfiguration] = [
            .init(epochs: 0), .init(batchSize: 0), .init(learningRate: .nan), .init(learningRate: 0), .init(threads: 0),
            .init(optimizer: .sgd(momentum: 1, weightDecay: 0, nesterov: false)), .init(optimizer: .sgd(momentum: 0, weightDecay: 0, nesterov: true)),
            .init(optimizer: .adam(beta1: 0.9, beta2: 0.9, epsilon: 0, weightDecay: 0)), .init(schedule: .init(.cosine(floor: 2))),
            .init(schedule: .init(.step(epochs: 0, factor: 0.1))), .init(schedule: .init(.constant, warmUpSteps: -1)),
            .init(lossScaling: .fixed(.infinity)),
        ]
        for configuration in wrong { #expect(throws: CompressionError.self) { try configuration.validate() } }
        #expect(throws: CompressionError.outOfRange(what: "epochs", allowed: "1…1000000", found: "0")) {
            try TrainerConfiguration(epochs: 0).validate()
        }
        #expect(throws: Never.self) { try TrainerConfiguration().validate() }
    }

    @Test func lossScaleHalvesAndDoubles() {
        var state = LossScaleState(.dynamic)
        state.didOverflow()
        #expect(state.scale == 32_768 && state.skippedSteps == 1)
        for _ in 0..<1999 { state.didStep(.dynamic) }
        #expect(state.scale == 32_768)
        state.didStep(.dynamic)
        #expect(state.scale == 65_536 && state.goodSteps == 0)
        #expect(LossScaleState(.fixed(8)).scale == 8 && LossScaleState(.none).scale == 1)
    }

    @Test func theGeneratorIsTheSameEverywhere() {
        var generator = SeededGenerator(seed: 1)
        let first = (0..<4).map { _ in generator.next() }
        var again = SeededGenerator(seed: 1), other = SeededGenerator(seed: 1, stream: 1)
        #expect((0..<4).map { _ in again.next() } == first)
        #expect((0..<4).map { _ in other.next() } != first)
        var numbers = Array(0..<100)
        again.shuffle(&numbers)
        #expect(numbers != Array(0..<100) && numbers.sorted() == Array(0..<100))
    }
}
