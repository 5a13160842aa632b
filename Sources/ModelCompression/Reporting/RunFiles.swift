internal import Foundation

/// The directory of a recipe's run: state.json, the network behind each finished step, the checkpoint of a training within a step, and numbers to
/// rewind to. Each file is complete or absent.
internal final class RunFiles {
    private struct State: Codable {
        let recipe: CompressionRecipe
        let fingerprint: String
        let records: [StepRecord]
    }

    private let directory: String
    private let recipe: CompressionRecipe
    private let fingerprint: String

    init(_ directory: String, recipe: CompressionRecipe, fingerprint: String) throws(CompressionError) {
        (self.directory, self.recipe, self.fingerprint) = (directory, recipe, fingerprint)
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw .outOfRange(what: "directory of a run", allowed: "one that can be made", found: "\(directory): \(error.localizedDescription)")
        }
        _ = try records()
    }

    func checkpoint(_ step: Int) -> String { "\(directory)/step\(step + 1).checkpoint" }
    func weights(epoch: Int) -> String { "\(directory)/rewind\(epoch).safetensors" }
    private func network(_ step: Int) -> String { "\(directory)/step\(step + 1).safetensors" }
    private var state: String { directory + "/state.json" }

    /// What is finished; nil where nothing is.
    ///
    /// - Throws: `CompressionError.otherNetwork` for the state of another recipe or network, `.damagedFile` for one that cannot be read.
    func records() throws(CompressionError) -> [StepRecord]? {
        guard let data = FileManager.default.contents(atPath: state) else { return nil }
        guard let saved = try? JSONDecoder().decode(State.self, from: data) else {
            throw .damagedFile(path: state, what: "state of a run", expected: "JSON that this package wrote", found: "\(data.count) other bytes")
        }
        guard saved.recipe == recipe, saved.fingerprint == fingerprint else {
            throw .otherNetwork(
                path: state, expected: "the run of recipe \(recipe.name) on \(fingerprint)",
                found: "recipe \(saved.recipe.name) on \(saved.fingerprint)")
        }
        return saved.records
    }

    /// Writes the network behind the last of `records`, then the state that names it.
    func save(_ network: TrainableNetwork, records: [StepRecord], training: LabelledData) throws(CompressionError) {
        try keeper(network, training).saveCheckpoint(to: self.network(records.count - 1))
        let state = State(recipe: recipe, fingerprint: fingerprint, records: records)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let data = try? encoder.encode(state), (try? data.write(to: URL(fileURLWithPath: self.state), options: .atomic)) != nil else {
            throw .outOfRange(what: "state of a run", allowed: "a file that can be written", found: self.state)
        }
        for file in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        where file.hasPrefix("step\(records.count).checkpoint") {
            try? FileManager.default.removeItem(atPath: "\(directory)/\(file)")
        }
    }

    /// Gives `network`, which has its structure, the numbers and masks behind a finished step.
    func load(_ network: TrainableNetwork, step: Int, training: LabelledData) throws {
        try keeper(network, training).resume(from: self.network(step))
    }

    // Checkpoints of a trainer hold numbers, statistics and masks.
    private func keeper(_ network: TrainableNetwork, _ training: LabelledData) throws(CompressionError) -> Trainer {
        try Trainer(network, data: training, configuration: TrainerConfiguration())
    }
}

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
