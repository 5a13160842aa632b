import CompactNumerics
import Foundation
import ModelCompression
import Testing

/// Whole training runs, which take from half a minute to several: FASHION_MNIST_RUNS=1 swift test --filter FashionMNISTTraining
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["FASHION_MNIST_RUNS"] != nil)) struct FashionMNISTTraining {
    static let seeds = UInt64(ProcessInfo.processInfo.environment["FASHION_MNIST_RUNS"] ?? "1") ?? 1

    @Test func lenet300100ReachesItsAccuracy() throws {
        var accuracies: [Double] = []
        for seed in 0..<Self.seeds {
            let network = try TrainableNetwork.lenet300100(seed: seed)
            accuracies.append(try train(network, epochs: 12, seed: seed))
        }
        #expect(accuracies.reduce(0, +) / Double(accuracies.count) >= 0.892)
    }

    @Test func lenet5Learns() throws {
        #expect(try train(TrainableNetwork.lenet5(), epochs: 2, seed: 0) >= 0.8)
    }

    private func train(_ network: TrainableNetwork, epochs: Int, seed: UInt64) throws -> Double {
        let data = try LabelledData.fashionMNIST(.training), test = try LabelledData.fashionMNIST(.test)
        let trainer = try Trainer(network, data: data, configuration: TrainerConfiguration(epochs: epochs, seed: seed))
        let history = try trainer.run()
        let accuracy = try evaluate(network, test)
        let loss = history.epochs.last!.loss
        print("\(network.layers.count) layers, seed \(seed): accuracy \(accuracy), \(Int(history.throughput)) images/s, loss \(loss)")
        return accuracy
    }
}
