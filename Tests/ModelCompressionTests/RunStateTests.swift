import CompactNumerics
import Foundation
import ModelFiles
@testable import ModelCompression
import Testing

/// Directories of runs: what is refused, and what earlier versions wrote.
@Suite struct RunStateTests {
    private static let quick = RecipeTraining(epochs: 1, batchSize: 100, learningRate: 5e-3)
    private static let recipe = CompressionRecipe(
        name: "small", steps: [.train(quick), .prune(RecipePruning(PruningConfiguration(sparsity: 0.5), fineTuning: quick)), .train(quick)])

    private func run(
        _ directory: String, _ recipe: CompressionRecipe = recipe, seed: UInt64 = 3, training: LabelledData? = nil
    ) throws -> CompressionRun {
        try CompressionRun(
            recipe, network: .mlp([64, 8, 10], seed: seed), training: training ?? .digits(.training), test: .digits(.test), directory: directory)
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = NSTemporaryDirectory() + "run-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    @Test func otherNumbersDataAndRecipesAreRefused() throws {
        try withDirectory { directory in
            #expect(try run(directory).run() != nil)
            #expect(throws: Never.self) { try run(directory) }
            func expectOther(_ body: () throws -> CompressionRun) {
                let error = #expect(throws: CompressionError.self) { try body() }
                guard case .otherNetwork? = error else {
                    Issue.record("expected another network, found \(String(describing: error))")
                    return
                }
            }
            expectOther { try run(directory, seed: 4) }
            let digits = try LabelledData.digits(.training)
            var labels = digits.labels
            labels[7] = (labels[7] + 1) % 10
            expectOther { try run(directory, training: LabelledData(inputs: digits.inputs, labels: labels, classes: 10, shape: digits.shape)) }
            var inputs = digits.inputs
            inputs[1000, 63] += 0.25
            expectOther { try run(directory, training: LabelledData(inputs: inputs, labels: digits.labels, classes: 10, shape: digits.shape)) }
            expectOther { try run(directory, training: digits.prefix(1400)) }
            var other = Self.recipe
            other.steps[1] = .prune(RecipePruning(PruningConfiguration(sparsity: 0.25), fineTuning: Self.quick))
            expectOther { try run(directory, other) }
        }
    }

    /// Every file of a run, cut, filled with other bytes or absent: an error that names it, and no other network in its place.
    @Test func damagedStateIsAnError() throws {
        try withDirectory { directory in
            #expect(try run(directory).run() != nil)
            let files = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0 != "state.json" && !$0.hasPrefix(".") }.sorted()
            #expect(files == ["step1.safetensors", "step2.safetensors", "step3.safetensors"])
            for file in files {
                let url = URL(fileURLWithPath: directory + "/" + file), sound = try Data(contentsOf: url)
                for damaged in [sound.prefix(sound.count / 2), Data(sound.reversed()), Data()] {
                    try damaged.write(to: url)
                    #expect(throws: CompressionError.self, "\(file)") { try run(directory).run() }
                }
                try FileManager.default.removeItem(at: url)
                #expect(throws: CompressionError.self, "\(file)") { try run(directory).run() }
                try sound.write(to: url)
            }
            #expect(try run(directory).run() != nil)
        }
    }

    @Test func aDirectoryIsForOneRunAtATime() throws {
        try withDirectory { directory in
            let first = try run(directory), second = try run(directory)
            var refused: CompressionError?
            _ = try first.run { progress in
                if progress.step == 1, refused == nil {
                    refused = #expect(throws: CompressionError.self) { try second.run() }
                    first.stop()
                }
            }
            guard case .file(let error)? = refused, error.kind == .inUse else {
                Issue.record("expected a folder in use, found \(String(describing: refused))")
                return
            }
            // Free again behind the run.
            #expect(try second.run() != nil)
        }
    }

    /// A run that ends within its first step has an identity already.
    @Test func theFirstStepKnowsItsRun() throws {
        try withDirectory { directory in
            let first = try run(directory)
            var steps = 0
            let report = try first.run { progress in
                if progress.training != nil { steps += 1 }
                if steps == 5 { first.stop() }
            }
            #expect(report == nil && FileManager.default.fileExists(atPath: directory + "/step1.checkpoint"))
            var other = Self.recipe
            other.steps[1] = .prune(RecipePruning(PruningConfiguration(sparsity: 0.25), fineTuning: Self.quick))
            #expect(throws: CompressionError.self) { try run(directory, seed: 4) }
            #expect(throws: CompressionError.self) { try run(directory, other) }
            #expect(try run(directory).run() != nil)
        }
    }

    /// The network of another step, sound in itself.
    @Test func stepsAreNotMistakenForEachOther() throws {
        try withDirectory { directory in
            #expect(try run(directory).run() != nil)
            for (from, to) in [(1, 2), (2, 1), (3, 2)] {
                let url = URL(fileURLWithPath: directory + "/step\(to).safetensors"), sound = try Data(contentsOf: url)
                try Data(contentsOf: URL(fileURLWithPath: directory + "/step\(from).safetensors")).write(to: url)
                #expect(throws: CompressionError.self, "\(from) for \(to)") { try run(directory).run() }
                try sound.write(to: url)
            }
        }
    }

    @Test func recordsHaveToBeThoseOfTheSteps() throws {
        try withDirectory { directory in
            #expect(try run(directory).run() != nil)
            let url = URL(fileURLWithPath: directory + "/state.json")
            let sound = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
            let records = try #require(sound["records"] as? [[String: Any]])
            for wrong in [records + [records[0]], [records[1]], [records[0], records[0]]] {
                var state = sound
                state["records"] = wrong
                try JSONSerialization.data(withJSONObject: state).write(to: url)
                #expect(throws: CompressionError.self) { try run(directory) }
            }
            for schema in [0, 3, -1, Int.max] {
                var state = sound
                state["schema"] = schema
                try JSONSerialization.data(withJSONObject: state).write(to: url)
                #expect(throws: CompressionError.self, "schema \(schema)") { try run(directory) }
            }
        }
    }

    // MARK: - Earlier schemas

    /// What `Golden/state-1` is a run of: written by the version before schemas had numbers, stopped in the fine-tuning of the fourth step. There
    /// the scopes of its prunings are spelled out, which are the defaults of their scores.
    private static let golden: CompressionRecipe = {
        let quick = RecipeTraining(epochs: 2, batchSize: 100, learningRate: 5e-3)
        return CompressionRecipe(
            name: "golden",
            steps: [
                .train(quick), .prune(RecipePruning(PruningConfiguration(sparsity: 0.25, granularity: .units), fineTuning: quick)),
                .removePrunedOutputs, .prune(RecipePruning(PruningConfiguration(sparsity: 0.75), fineTuning: quick)),
                .quantize(RecipeQuantization(QuantizationConfiguration(format: .integer(.w8a8)))),
            ])
    }()

    @Test(arguments: [1, 2]) func everySchemaIsRead(schema: Int) throws {
        let golden = try #require(Bundle.module.url(forResource: "Golden/state-\(schema)", withExtension: nil))
        try withDirectory { directory in
            try FileManager.default.copyItem(atPath: golden.path, toPath: directory)
            let run = try CompressionRun(
                Self.golden, network: .mlp([64, 12, 8, 10], seed: 3), training: .digits(.training), test: .digits(.test), directory: directory)
            var first: TrainingProgress?
            let report = try #require(
                try run.run { progress in
                    #expect(progress.step >= 3)
                    if progress.step == 3, first == nil { first = progress.training }
                })
            // The checkpoint of the fourth step goes on behind the ten steps that it holds.
            #expect(try #require(first).step == 11 && report.steps.map(\.step) == Self.golden.steps.map(\.name))
            #expect(report.steps[0].keptWeights == 64 * 12 + 12 * 8 + 8 * 10 && report.steps[2].keptWeights == 64 * 9 + 9 * 6 + 6 * 10)
            // Written anew with the present number.
            let state = try #require(
                try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: directory + "/state.json"))) as? [String: Any])
            #expect(state["schema"] as? Int == 2 && (state["data"] as? String)?.isEmpty == false)
        }
    }

    /// The numbers of a golden checkpoint, read by an oracle of its own.
    @Test(arguments: [1, 2]) func everyCheckpointIsRead(schema: Int) throws {
        let golden = try #require(Bundle.module.url(forResource: "Golden/state-\(schema)/step4.checkpoint", withExtension: nil))
        let network = try TrainableNetwork.mlp([64, 9, 6, 10]), quick = RecipeTraining(epochs: 2, batchSize: 100, learningRate: 5e-3)
        let trainer = try Trainer(network, data: .digits(.training), configuration: quick.configuration(threads: 1), hooks: [NoHook()])
        try trainer.resume(from: golden.path)
        let file = try SafetensorsFile(path: golden.path)
        for parameter in network.parameters {
            #expect(try file.floats(named: "value/" + parameter.name).map(\.bitPattern) == parameter.value.elements.map(\.bitPattern))
            #expect(try parameter.moments.count == 2 && file.floats(named: "moment1/" + parameter.name) == parameter.moments[1].elements)
        }
        #expect(trainer.step == 10 && network.weighted("fc1").weight.mask?.contains(0) == true)
    }

    @Test func checkpointsOfOtherDataOrLaterSchemasAreRefused() throws {
        try withTemporaryFile { path in
            let network = try TrainableNetwork.mlp([64, 8, 10]), digits = try LabelledData.digits(.training)
            let configuration = TrainerConfiguration(epochs: 1)
            try Trainer(network, data: digits, configuration: configuration).saveCheckpoint(to: path)
            var labels = digits.labels
            labels.swapAt(0, 1)
            #expect(labels != digits.labels)
            let other = try LabelledData(inputs: digits.inputs, labels: labels, classes: 10, shape: digits.shape)
            #expect(throws: CompressionError.self) { try Trainer(network, data: other, configuration: configuration).resume(from: path) }
            let file = try SafetensorsFile(path: path)
            let contents = try file.tensors.map {
                TensorContent(name: $0.name, type: $0.type, shape: $0.shape, bytes: try file.bytes(named: $0.name))
            }
            for schema in ["3", "x", "0", ""] {
                var metadata = file.metadata.dictionary
                metadata["schema"] = schema
                try SafetensorsFile.write(contents, metadata: metadata, to: path)
                #expect(throws: CompressionError.damagedFile(path: path, what: "schema of a checkpoint", expected: "1…2", found: schema)) {
                    try Trainer(network, data: digits, configuration: configuration).resume(from: path)
                }
            }
        }
    }
}

private final class NoHook: TrainingHook {}
