import Foundation
import ModelCompression
import ModelFiles
import Testing

@testable import Benchmarks

@Suite struct DataOptionsTests {
    /// A table of 60 records: a running number, two features, a class in the third column.
    private func withTable(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "table-\(UInt64.random(in: 0...UInt64.max)).csv"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let records = (0..<60).map { "\($0);\(Double($0 % 3) * 1e4 + Double($0));\(["a", "b", "c"][$0 % 3]);\(Double($0 % 7) * 1e-3)" }
        try Data(("id;x;kind;y\n" + records.joined(separator: "\n")).utf8).write(to: URL(fileURLWithPath: path))
        try body(path)
    }

    @Test func tablesAreReadAsTheOptionsSay() throws {
        try withTable { path in
            for label in ["kind", "3"] {
                let options = try DataOptions.parse(["--data", path, "--separator", "semicolon", "--label", label, "--ignore", "id"])
                let (training, test) = try options.load()
                #expect(training.count == 48 && test.count == 12 && training.classNames == ["a", "b", "c"] && training.featureNames == ["x", "y"])
                #expect(try options.load().test.inputs == test.inputs)
                let other = try DataOptions.parse([
                    "--data", path, "--separator", "semicolon", "--label", label, "--ignore", "id", "--split-seed", "5",
                ])
                #expect(try other.load().test.inputs != test.inputs)
            }
            // The header as a record is no number.
            let wrong = try DataOptions.parse(["--data", path, "--separator", "semicolon", "--label", "3", "--no-header"])
            #expect(throws: CompressionError.self) { try wrong.load() }
        }
    }

    @Test(arguments: [["--label", "x"], ["--ignore", "1"], ["--no-header"], ["--separator", "tab"], ["--split-seed", "1"]])
    func optionsWithoutEffectAreRefused(arguments: [String]) throws {
        #expect(throws: BenchmarkError.self) { try DataOptions.parse(["--data", "digits"] + arguments).load() }
        #expect(throws: BenchmarkError.self) { try DataOptions.parse(["--data", "/no/such/file"] + arguments).load() }
        let folder = NSTemporaryDirectory()
        if arguments[0] != "--split-seed" { #expect(throws: BenchmarkError.self) { try DataOptions.parse(["--data", folder] + arguments).load() } }
    }

    /// Widths fit any data, also fewer than 10,000 samples that are no digits.
    @Test func networksFitTheData() throws {
        try withTable { path in
            let data = try DataOptions.parse(["--data", path, "--separator", "semicolon", "--label", "kind"]).load().training
            let scale = TrainingScale(samples: data.count)
            #expect(scale.widths(data) == [3, 100, 50, 3] && scale.epochs == 200)
            #expect(try evaluate(TrainableNetwork.mlp(scale.widths(data)), data) >= 0)
        }
        let large = TrainingScale(samples: 60_000)
        #expect(large.hidden == [300, 100] && large.epochs == 12 && TrainingScale(samples: 1437).epochs == 30)
    }

    /// The command from a table to a file that takes raw features.
    @Test func compressRunsOnATable() throws {
        try withTable { path in
            let output = path + ".safetensors"
            defer { try? FileManager.default.removeItem(atPath: output) }
            let recipe = path + ".json"
            defer { try? FileManager.default.removeItem(atPath: recipe) }
            try Data(#"{"steps": [{"train": {"epochs": 60, "batchSize": 8}}, {"quantize": {"format": "w8a8"}}]}"#.utf8).write(
                to: URL(fileURLWithPath: recipe))
            let options = ["--data", path, "--separator", "semicolon", "--label", "kind", "--ignore", "id"]
            var command = try Benchmarks.parseAsRoot(["compress", "--recipe", recipe, "--output", output] + options)
            try command.run()
            let (_, test) = try DataOptions.parse(options).load()
            #expect(try evaluate(DeployedModel.read(from: output), test) > 0.9)
        }
    }
}
