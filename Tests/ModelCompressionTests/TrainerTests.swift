import CompactNumerics
import Foundation
import ModelFiles
@testable import ModelCompression
import Testing

@Suite struct TrainerTests {
    /// A network with everything that has state: convolution, batch norm, dropout, masks.
    static func network(seed: UInt64 = 3) throws -> TrainableNetwork {
        var generator = SeededGenerator(seed: seed)
        return try TrainableNetwork(
            inputShape: SampleShape(height: 8, width: 8, channels: 1),
            layers: [
                Conv2DLayer("conv", windows: windows(8, 8, 1, window: (3, 3), padding: 1), outputChannels: 4, hasBias: false, generator: &generator),
                BatchNormLayer("bn", channels: 4), ReLULayer("relu1"),
                MaxPoolLayer("pool", windows: windows(8, 8, 4, window: (2, 2), stride: 2)),
                AveragePoolLayer("average", windows: windows(4, 4, 4, window: (3, 3), padding: 1)), FlattenLayer("flatten"),
                DropoutLayer("drop", rate: 0.2), DenseLayer("fc1", inputs: 64, outputs: 20, generator: &generator),
                BatchNormLayer("bn2", channels: 20), ReLULayer("relu2"), DenseLayer("fc2", inputs: 20, outputs: 10, generator: &generator),
            ])
    }

    static func maskedNetwork() throws -> TrainableNetwork {
        let network = try network()
        let weight = network.weightedLayers[1].weight
        weight.mask = (0..<weight.value.count).map { $0 % 3 == 0 ? 0 : 1 }
        return network
    }

    static let configuration = TrainerConfiguration(epochs: 3, batchSize: 50, learningRate: 5e-3, seed: 9)

    @Test(arguments: [Arithmetic.float32, .bf16, .fp16, .tf32]) func learnsDigits(arithmetic: Arithmetic) throws {
        let network = try TrainableNetwork.mlp([64, 100, 10])
        var configuration = Self.configuration
        (configuration.epochs, configuration.arithmetic) = (20, arithmetic)
        configuration.lossScaling = arithmetic == .fp16 ? .dynamic : .none
        let test = try LabelledData.digits(.test)
        let history = try Trainer(network, data: .digits(.training), validation: test, configuration: configuration).run()
        #expect(history.isComplete && history.epochs.count == 20 && history.steps + history.skippedSteps == 20 * 29)
        let accuracy = try evaluate(network, test)
        #expect(accuracy > 0.96)
        #expect(history.epochs[5].loss < history.epochs[0].loss / 2)
        // Masters are float32: after training, most are no numbers of the reduced format.
        let weights = network.weightedLayers[0].weight.value, rounded = weights.copy()
        arithmetic.round(rounded)
        #expect((weights.elements == rounded.elements) == (arithmetic == .float32))
    }

    @Test(arguments: [Optimizer.adam, .sgd(momentum: 0.9, weightDecay: 1e-3, nesterov: true)])
    func aResumedRunGivesTheSameBits(optimizer: Optimizer) throws {
        var configuration = Self.configuration
        (configuration.optimizer, configuration.learningRate) = (optimizer, 1e-2)
        let data = try LabelledData.digits(.training), test = try LabelledData.digits(.test)
        let whole = try Self.maskedNetwork()
        let expected = try Trainer(whole, data: data, validation: test, configuration: configuration).run()
        // Stopped in the middle of an epoch and at the end of one.
        for stopAfter in [40, 58] {
            try withTemporaryFile { path in
                let first = try Trainer(Self.maskedNetwork(), data: data, validation: test, configuration: configuration, checkpointPath: path)
                let partial = try first.run { if $0.step == stopAfter { first.stop() } }
                #expect(!partial.isComplete && partial.steps == stopAfter)
                let resumed = try Self.network(seed: 99)
                let second = try Trainer(resumed, data: data, validation: test, configuration: configuration)
                try second.resume(from: path)
                #expect(try second.run() == expected)
                #expect(resumed.bits == whole.bits)
                #expect(resumed.parameters.map(\.mask) == whole.parameters.map(\.mask))
                let weight = resumed.weightedLayers[1].weight
                #expect(zip(weight.value.elements, weight.mask!).allSatisfy { $1 != 0 || $0 == 0 })
            }
        }
    }

    @Test func divergenceStopsAndNamesItsPlace() throws {
        let data = try LabelledData.digits(.training).prefix(200)
        try withTemporaryFile { path in
            let network = try TrainableNetwork.mlp([64, 20, 10])
            let trainer = try Trainer(network, data: data, configuration: Self.configuration, checkpointPath: path)
            let error = #expect(throws: CompressionError.self) {
                try trainer.run { if $0.step == 6 { network.weightedLayers[1].weight.value[0, 0] = .nan } }
            }
            #expect(error == .diverged(epoch: 1, step: 6, layer: "output of fc2", found: "loss nan"))
            // The checkpoint is that of the first epoch's end.
            let restored = try Trainer(.mlp([64, 20, 10]), data: data, configuration: Self.configuration)
            try restored.resume(from: path)
            #expect(restored.step == 4)
        }
        // Gradients overflow in FP16 under a scale that is too large, and nothing else does.
        var configuration = Self.configuration
        (configuration.arithmetic, configuration.lossScaling) = (.fp16, .fixed(0x1p40))
        let error = #expect(throws: CompressionError.self) {
            try Trainer(.mlp([64, 10]), data: data, configuration: configuration).run()
        }
        guard case .diverged(epoch: 0, step: 0, layer: let layer, found: _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(layer.hasPrefix("gradient of fc1"))
    }

    @Test(arguments: [1, 2]) func theSameSeedGivesTheSameBits(threads: Int) throws {
        let data = try LabelledData.digits(.training).prefix(300)
        func bits(seed: UInt64) throws -> [UInt32] {
            let network = try Self.network()
            var configuration = Self.configuration
            (configuration.seed, configuration.threads) = (seed, threads)
            _ = try Trainer(network, data: data, configuration: configuration).run()
            return network.bits
        }
        let first = try bits(seed: 1)
        #expect(try bits(seed: 1) == first)
        #expect(try bits(seed: 2) != first)
    }

    /// The last step overflows with a finite loss and finite gradients, so nothing but the numbers themselves shows it.
    @Test func numbersThatOverflowAreNotSaved() throws {
        let digits = try LabelledData.digits(.training).prefix(100)
        let data = try LabelledData(
            inputs: Matrix(rows: 100, columns: 64) { 1000 * digits.inputs[$0, $1] }, labels: digits.labels, classes: 10, shape: digits.shape)
        try withTemporaryFile { path in
            let configuration = TrainerConfiguration(
                epochs: 1, batchSize: 100, optimizer: .sgd, learningRate: 1e38, schedule: .constant)
            let trainer = try Trainer(.mlp([64, 10]), data: data, configuration: configuration, checkpointPath: path)
            let error = #expect(throws: CompressionError.self) { try trainer.run() }
            guard case .diverged(epoch: 0, step: 0, layer: "fc1.weight", found: let found) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(found.hasSuffix("inf"))
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func dynamicScalingSkipsOverflowsAndGoesOn() throws {
        var configuration = Self.configuration
        (configuration.arithmetic, configuration.lossScaling) = (.fp16, .dynamic)
        let network = try TrainableNetwork.mlp([64, 10])
        // Gradients of about 1000 · loss scale.
        let data = try LabelledData.digits(.training).prefix(100)
        let large = try LabelledData(
            inputs: Matrix(rows: 100, columns: 64) { 60 * data.inputs[$0, $1] }, labels: data.labels, classes: 10, shape: data.shape)
        let trainer = try Trainer(network, data: large, configuration: configuration)
        let history = try trainer.run()
        #expect(history.skippedSteps > 0 && history.steps > 0 && trainer.lossScale.scale < 65_536)
        #expect(history.steps + history.skippedSteps == 6)
    }

    @Test func hooksSeeEachStep() throws {
        final class Counter: TrainingHook {
            var events: [String] = []
            func willStep(_ trainer: Trainer, step: Int) { events.append("will \(step)") }
            func didStep(_ trainer: Trainer, step: Int) { events.append("did \(step)") }
            func didEndEpoch(_ trainer: Trainer, epoch: Int) { events.append("end \(epoch)") }
        }
        let counter = Counter()
        let data = try LabelledData.digits(.training).prefix(100)
        let trainer = try Trainer(
            .mlp([64, 10]), data: data, configuration: TrainerConfiguration(epochs: 2, batchSize: 100), hooks: [counter])
        var observed: [Int] = []
        trainer.network.gradientObserver = { index, gradient in observed.append(index * 1000 + gradient.count) }
        var remaining: [Double] = []
        _ = try trainer.run { remaining.append($0.secondsRemaining) }
        #expect(counter.events == ["will 0", "did 0", "end 0", "will 1", "did 1", "end 1"])
        #expect(observed == [1000, 1000] && remaining.count == 2 && remaining[0] > 0 && remaining[1] == 0)
    }
}
