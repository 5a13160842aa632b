internal import CTraining
internal import CompactNumerics
internal import Foundation
internal import ModelFiles

/// What a run is a run of: a directory of another one is refused.
internal struct RunIdentity: Equatable {
    let recipe: CompressionRecipe
    /// Structure of the network.
    let fingerprint: String
    /// Checksums of the network's numbers, and of the samples and labels for training and testing.
    let numbers: String
    let training: String
    let test: String
    var data: String { training + " " + test }

    init(recipe: CompressionRecipe, network: TrainableNetwork, training: LabelledData, test: LabelledData) {
        self.recipe = recipe
        fingerprint = network.fingerprint
        numbers = network.checksum
        (self.training, self.test) = (training.checksum, test.checksum)
    }
}

/// The directory of a recipe's run: state.json, the network behind each finished step, the checkpoint of a training within a step, and numbers to
/// rewind to. Each file is complete or absent.
internal final class RunFiles {
    /// state.json. Schema 1 had no number and no checksums, and spelled out options without effect.
    private struct State: Codable {
        static let schema = 2

        var schema: Int?
        let recipe: CompressionRecipe
        let fingerprint: String
        var numbers: String?
        var data: String?
        /// Checksums of the networks behind the finished steps.
        var networks: [String]?
        let records: [StepRecord]
    }

    private let directory: String
    private let identity: RunIdentity
    private var networks: [String] = []

    init(_ directory: String, _ identity: RunIdentity) throws(CompressionError) {
        (self.directory, self.identity) = (directory, identity)
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw .outOfRange(what: "directory of a run", allowed: "one that can be made", found: "\(directory): \(error.localizedDescription)")
        }
        _ = try records()
    }

    /// Keeps other processes away from the directory as long as the lock lives.
    ///
    /// - Throws: `CompressionError.file` of kind `inUse` where another run holds it.
    func lock() throws(CompressionError) -> DirectoryLock {
        try CompressionError.wrapping { try DirectoryLock(directory: directory) }
    }

    func checkpoint(_ step: Int) -> String { "\(directory)/step\(step + 1).checkpoint" }
    func weights(epoch: Int) -> String { "\(directory)/rewind\(epoch).safetensors" }
    private func network(_ step: Int) -> String { "\(directory)/step\(step + 1).safetensors" }
    private var state: String { directory + "/state.json" }

    /// What is finished; nil where nothing is.
    ///
    /// - Throws: `CompressionError.otherNetwork` for the state of another recipe, network, numbers or data, `.damagedFile` for one that cannot be
    ///   read.
    func records() throws(CompressionError) -> [StepRecord]? {
        guard FileManager.default.fileExists(atPath: state) else { return nil }
        guard let json = FileManager.default.contents(atPath: state) else { throw damaged("a file that can be read", "one that cannot") }
        let saved = try decode(json)
        for (what, expected, found) in [
            (
                "recipe", identity.recipe.resolved == saved.recipe.resolved ? saved.recipe.name : identity.recipe.name + " with its steps",
                saved.recipe.name
            ),
            ("network", identity.fingerprint, saved.fingerprint), ("numbers of the network", identity.numbers, saved.numbers ?? identity.numbers),
            ("training and test data", identity.data, saved.data ?? identity.data),
        ] where expected != found {
            throw .otherNetwork(path: state, expected: "a run of this \(what) (\(expected))", found: "one of another (\(found))")
        }
        let names = saved.records.map(\.step), steps = saved.recipe.steps.map(\.name)
        guard names.count <= steps.count, names == Array(steps.prefix(names.count)) else {
            throw damaged("records of the first of the steps \(steps.joined(separator: ", "))", names.joined(separator: ", "))
        }
        guard saved.networks == nil || saved.networks?.count == names.count else {
            throw damaged("checksums of \(names.count) networks", "\(saved.networks?.count ?? 0)")
        }
        networks = saved.networks ?? []
        return saved.records
    }

    /// Writes what the directory is of before anything is in it, so that a run that ends within its first step goes on with its own kind alone.
    func begin() throws(CompressionError) {
        if !FileManager.default.fileExists(atPath: state) { try write([]) }
    }

    private func decode(_ json: Data) throws(CompressionError) -> State {
        struct Schema: Decodable { let schema: Int? }
        let decoder = JSONDecoder()
        guard let schema = try? decoder.decode(Schema.self, from: json) else {
            throw damaged("JSON that this package wrote", "\(json.count) other bytes")
        }
        guard (1...State.schema).contains(schema.schema ?? 1) else {
            throw damaged("a schema of 1…\(State.schema)", "\(schema.schema ?? 1)")
        }
        decoder.userInfo[StrictFields.ignoresUnread] = schema.schema == nil
        do {
            return try decoder.decode(State.self, from: json)
        } catch {
            throw damaged("JSON that this package wrote", "\(error)")
        }
    }

    private func damaged(_ expected: String, _ found: String) -> CompressionError {
        .damagedFile(path: state, what: "state of a run", expected: expected, found: found)
    }

    /// Writes the network behind the last of `records`, then the state that names it.
    func save(_ network: TrainableNetwork, records: [StepRecord], training: LabelledData) throws(CompressionError) {
        try keeper(network, training).saveCheckpoint(to: self.network(records.count - 1))
        networks = networks.prefix(records.count - 1) + [network.checksum]
        try write(records)
        for file in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        where file.hasPrefix("step\(records.count).checkpoint") {
            try? FileManager.default.removeItem(atPath: "\(directory)/\(file)")
        }
    }

    private func write(_ records: [StepRecord]) throws(CompressionError) {
        // Of a state of schema 1 the checksums of earlier networks are not known.
        let state = State(
            schema: State.schema, recipe: identity.recipe, fingerprint: identity.fingerprint, numbers: identity.numbers, data: identity.data,
            networks: networks.count == records.count ? networks : nil, records: records)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try CompressionError.wrapping { try OutputFile.replace(path: self.state, with: encoder.encode(state)) }
    }

    /// Gives `network`, which has its structure, the numbers and masks behind a finished step.
    func load(_ network: TrainableNetwork, step: Int, training: LabelledData) throws {
        try keeper(network, training).resume(from: self.network(step))
        if networks.indices.contains(step), networks[step] != network.checksum {
            throw CompressionError.damagedFile(
                path: self.network(step), what: "network", expected: "the one behind step \(step + 1) (\(networks[step]))",
                found: "another (\(network.checksum))")
        }
    }

    // Checkpoints of a trainer hold numbers, statistics and masks.
    private func keeper(_ network: TrainableNetwork, _ training: LabelledData) throws(CompressionError) -> Trainer {
        let keeper = try Trainer(network, data: training, configuration: TrainerConfiguration())
        keeper.dataChecksum = identity.training
        return keeper
    }
}
