import CompactNumerics
@testable import ModelCompression
import Testing

/// Batches that have no variance.
@Suite struct BatchNormalizationTests {
    /// One row is one sample at one position: the statistics stay, and outputs and gradients are those without training.
    @Test(arguments: [Arithmetic.float32, .bf16]) func oneRowLeavesTheStatistics(arithmetic: Arithmetic) throws {
        var generator = SeededGenerator(seed: 6)
        let layer = BatchNormLayer("bn", channels: 5)
        for _ in 0..<4 { _ = layer.forward(generator.tensor(32, 5), context: TrainingContext(isTraining: true)) }
        let before = layer.statistics.map(\.values.elements)
        let x = generator.tensor(1, 5), dy = generator.tensor(1, 5)
        let results = [true, false].map { isTraining in
            let context = TrainingContext(isTraining: isTraining, arithmetic: arithmetic)
            let y = layer.forward(x, context: context).elements
            let dx = layer.backward(dy.copy(), needsInputGradient: true, context: context)!.elements
            return [y, dx, layer.gamma.gradient.elements, layer.beta.gradient.elements]
        }
        #expect(results[0] == results[1])
        #expect(results[0].allSatisfy { $0.contains { $0 != 0 } })
        #expect(layer.statistics.map(\.values.elements) == before)
        // One sample at several positions has a variance.
        _ = layer.forward(generator.tensor(1, 20), context: TrainingContext(isTraining: true))
        #expect(layer.statistics.map(\.values.elements) != before)
    }

    /// 33 samples in batches of 32: running averages are near the numbers that they stand for.
    @Test func aLastBatchOfOneSampleDoesNoHarm() throws {
        var generator = SeededGenerator(seed: 7)
        let x = generator.tensor(33, 1)
        for index in 0..<33 { x.pointer[index] = 3 * x.pointer[index] + 1 }
        let data = try LabelledData(inputs: x.matrix, labels: (0..<33).map { $0 % 2 }, classes: 2, shape: SampleShape(1))
        let layer = BatchNormLayer("bn", channels: 1)
        let network = try TrainableNetwork(
            inputShape: SampleShape(1), layers: [layer, DenseLayer("fc", inputs: 1, outputs: 2, generator: &generator)])
        _ = try Trainer(network, data: data, configuration: TrainerConfiguration(epochs: 100, batchSize: 32)).run()
        let values = x.elements.map(Double.init), mean = values.reduce(0, +) / 33
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 32
        #expect(abs(Double(layer.runningVariance[0, 0]) / variance - 1) < 0.1)
        #expect(abs(Double(layer.runningMean[0, 0]) - mean) < 0.3)
    }

    /// Batches of one sample throughout: the running averages of the beginning, with which the network learns.
    @Test func batchesOfOneSampleLearn() throws {
        let data = try LabelledData.digits(.training).prefix(300)
        var generator = SeededGenerator(seed: 8)
        let network = try TrainableNetwork(
            inputShape: data.shape,
            layers: [
                FlattenLayer("flatten"), DenseLayer("fc1", inputs: 64, outputs: 20, generator: &generator), BatchNormLayer("bn", channels: 20),
                ReLULayer("relu"), DenseLayer("fc2", inputs: 20, outputs: 10, generator: &generator),
            ])
        _ = try Trainer(network, data: data, configuration: TrainerConfiguration(epochs: 12, batchSize: 1)).run()
        let accuracy = try evaluate(network, data)
        #expect(accuracy > 0.9)
    }
}
