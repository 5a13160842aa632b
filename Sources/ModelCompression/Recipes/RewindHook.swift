internal import Foundation

/// Keeps a network's numbers at the ends of some epochs, in files where there is a directory.
internal final class RewindHook: TrainingHook {
    private let epochs: Set<Int>
    private let files: RunFiles?
    private var snapshots: [Int: NetworkSnapshot] = [:]

    init(epochs: Set<Int>, files: RunFiles?) {
        (self.epochs, self.files) = (epochs, files)
    }

    func willStep(_ trainer: Trainer, step: Int) throws {
        if step == 0 { try keep(-1, trainer.network) }
    }

    func didEndEpoch(_ trainer: Trainer, epoch: Int) throws { try keep(epoch, trainer.network) }

    private func keep(_ epoch: Int, _ network: TrainableNetwork) throws {
        guard epochs.contains(epoch) else { return }
        snapshots[epoch] = NetworkSnapshot(network)
        if let files { try network.saveWeights(to: files.weights(epoch: epoch)) }
    }

    /// By epoch, from memory or files of networks like `network`.
    func snapshots(for network: TrainableNetwork) throws -> [Int: NetworkSnapshot] {
        for epoch in epochs where snapshots[epoch] == nil {
            guard let files, FileManager.default.fileExists(atPath: files.weights(epoch: epoch)) else { continue }
            let copy = network.copy()
            try copy.loadWeights(from: files.weights(epoch: epoch))
            snapshots[epoch] = NetworkSnapshot(copy)
        }
        return snapshots
    }
}
