import CompactNumerics
import Foundation
import ModelFiles
@testable import ModelCompression
import Testing

@Suite struct CheckpointTests {
    @Test func damagedAndForeignCheckpointsAreRefused() throws {
        let data = try LabelledData.digits(.training).prefix(200)
        try withTemporaryFile { path in
            let trainer = try Trainer(TrainerTests.maskedNetwork(), data: data, configuration: TrainerTests.configuration)
            try trainer.saveCheckpoint(to: path)
            let sound = try Data(contentsOf: URL(fileURLWithPath: path))
            let other = try Trainer(TrainerTests.network(), data: data, configuration: TrainerTests.configuration)
            let before = other.network.bits
            for position in [sound.count - 1, sound.count - 5000, sound.count / 2] {
                var damaged = sound
                damaged[position] ^= 0x10
                try damaged.write(to: URL(fileURLWithPath: path))
                #expect(throws: CompressionError.self) { try other.resume(from: path) }
            }
            for length in [0, 7, 500, sound.count - 1] {
                try sound.prefix(length).write(to: URL(fileURLWithPath: path))
                #expect(throws: CompressionError.self) { try other.resume(from: path) }
            }
            #expect(other.network.bits == before && other.step == 0)
            try sound.write(to: URL(fileURLWithPath: path))
            let mlp = try Trainer(.mlp([64, 10]), data: data, configuration: TrainerTests.configuration)
            let error = #expect(throws: CompressionError.self) { try mlp.resume(from: path) }
            guard case .otherNetwork = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            let otherRun = try Trainer(TrainerTests.network(), data: data, configuration: TrainerConfiguration(epochs: 4))
            #expect(throws: CompressionError.self) { try otherRun.resume(from: path) }
            try other.resume(from: path)
            #expect(other.network.bits == trainer.network.bits)
        }
        let trainer = try Trainer(TrainerTests.network(), data: data, configuration: TrainerTests.configuration)
        #expect(throws: CompressionError.self) { try trainer.resume(from: "/nonexistent") }
    }

    /// A checkpoint that a hostile hand made: checksum and form are right, contents are not.
    @Test(arguments: [
        ("optimizerSteps\":4", "optimizerSteps\":9223372036854775807"), ("optimizerSteps\":4", "optimizerSteps\":-1"),
        ("epoch\":1,", "epoch\":3,"), ("epoch\":1,", "epoch\":-1,"), ("stepInEpoch\":0", "stepInEpoch\":4"),
        ("lossSamples\":0", "lossSamples\":9223372036854775807"), ("goodSteps\":0", "goodSteps\":9223372036854775807"),
        ("scale\":1,", "scale\":0,"), ("scale\":1,", "scale\":-4,"), ("skippedSteps\":0", "skippedSteps\":9223372036854775807"),
        ("optimizerSteps\":4", "optimizerSteps\":4.5"), ("{", "["),
    ]) func statesThatCannotBeAreRefused(sound: String, hostile: String) throws {
        let data = try LabelledData.digits(.training).prefix(200)
        try withTemporaryFile { path in
            let trainer = try Trainer(.mlp([64, 10]), data: data, configuration: TrainerTests.configuration, checkpointPath: path)
            _ = try trainer.run { if $0.endsEpoch { trainer.stop() } }
            let file = try SafetensorsFile(path: path)
            var metadata = file.metadata.dictionary
            let state = try #require(metadata["state"])
            #expect(state.contains(sound), "\(state)")
            metadata["state"] = state.replacingOccurrences(of: sound, with: hostile)
            let contents = try file.tensors.map { ($0.name, Tensor(try file.matrix(named: $0.name))) }
            metadata["checksum"] = Trainer.checksum(contents, [], metadata)
            try SafetensorsFile.write(contents.map { TensorContent(name: $0.0, matrix: $0.1.matrix) }, metadata: metadata, to: path)
            let other = try Trainer(.mlp([64, 10]), data: data, configuration: TrainerTests.configuration)
            let error = #expect(throws: CompressionError.self) { try other.resume(from: path) }
            guard case .damagedFile = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(error?.description.contains("state") ?? false)
        }
    }

    @Test(arguments: ["value/fc1.weight", "moment0/fc1.bias"]) func numbersThatAreNotFiniteAreRefused(name: String) throws {
        let data = try LabelledData.digits(.training).prefix(200)
        try withTemporaryFile { path in
            let trainer = try Trainer(.mlp([64, 10]), data: data, configuration: TrainerTests.configuration)
            _ = try trainer.run { if $0.endsEpoch { trainer.stop() } }
            let parameter = trainer.network.parameters[name.hasSuffix("weight") ? 0 : 1]
            (name.hasPrefix("value") ? parameter.value : parameter.moments[0])[0, 0] = .nan
            try trainer.saveCheckpoint(to: path)
            let other = try Trainer(.mlp([64, 10]), data: data, configuration: TrainerTests.configuration), bits = other.network.bits
            #expect(throws: CompressionError.damagedFile(path: path, what: "tensor \"\(name)\"", expected: "finite numbers", found: "nan")) {
                try other.resume(from: path)
            }
            #expect(other.network.bits == bits)
        }
    }

    /// A disk that is full while a checkpoint is written: a typed error, the checkpoint before stays, nothing else is left.
    @Test func aFullDiskLeavesTheCheckpointBefore() async throws {
        try await Self.withTemporaryFolder { path in
            let trainer = try Self.newTrainer()
            try trainer.saveCheckpoint(to: path)
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            await #expect(processExitsWith: .success) { [path = path as String] in
                let trainer = try Self.newTrainer()
                signal(SIGXFSZ, SIG_IGN)  // the write then fails instead, as on a full disk
                var limit = rlimit(rlim_cur: 2000, rlim_max: 2000)
                #if os(Linux)
                    let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
                #else
                    let resource = RLIMIT_FSIZE
                #endif
                try #require(setrlimit(resource, &limit) == 0)
                let error = #expect(throws: CompressionError.self) { try trainer.saveCheckpoint(to: path) }
                guard case .file = error else { exit(1) }
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
            #expect(try Self.filesBeside(path) == [URL(fileURLWithPath: path).lastPathComponent])
        }
    }

    /// A process that is killed while it writes checkpoints leaves a whole one.
    @Test(arguments: [1, 3, 8, 20]) func aKillLeavesAWholeCheckpoint(milliseconds: Int) async throws {
        try await Self.withTemporaryFolder { path in
            try Self.newTrainer().saveCheckpoint(to: path)
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, milliseconds = milliseconds as Int] in
                let trainer = try Self.newTrainer()
                Thread.detachNewThread {
                    usleep(UInt32(1000 * milliseconds))
                    kill(getpid(), SIGKILL)
                }
                while true { try trainer.saveCheckpoint(to: path) }
            }
            let trainer = try Self.newTrainer()
            try trainer.resume(from: path)
            #expect(trainer.network.bits == (try Self.newTrainer()).network.bits)
        }
    }

    /// Calls `body` with the path of a file in a folder of its own.
    private static func withTemporaryFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "model-compression-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder + "/checkpoint.safetensors")
    }

    private static func newTrainer() throws -> Trainer {
        try Trainer(.mlp([64, 200, 10]), data: .digits(.training).prefix(200), configuration: TrainerTests.configuration)
    }

    private static func filesBeside(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path)
    }

    @Test func aFolderThatCannotBeWrittenIsATypedError() throws {
        let data = try LabelledData.digits(.training).prefix(100)
        try withTemporaryFile { file in
            try Data("kept".utf8).write(to: URL(fileURLWithPath: file))
            // No such folder; a folder that is a file.
            for path in ["/nonexistent/folder/checkpoint.safetensors", file + "/checkpoint.safetensors"] {
                let trainer = try Trainer(.mlp([64, 10]), data: data, configuration: TrainerTests.configuration, checkpointPath: path)
                let error = #expect(throws: CompressionError.self) { try trainer.run() }
                guard case .file = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
            }
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "kept")
        }
    }
}
