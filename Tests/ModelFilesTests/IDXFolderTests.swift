import Foundation
import ModelFiles
import Testing

@Suite struct IDXFolderTests {
    private static let images = (training: idx([2, 3, 1], [1, 2, 3, 4, 5, 6]), test: idx([1, 3, 1], [7, 8, 9]))
    private static let labels = (training: idx([2], [0, 12]), test: idx([1], [3]))

    private func read(_ files: [String: [UInt8]], _ body: (IDXFolder) throws -> Void) throws {
        try withTemporaryFolder { folder in
            for (name, bytes) in files { try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
            try FileManager.default.createDirectory(atPath: "\(folder)/a train folder", withIntermediateDirectories: true)
            do {
                let result = try IDXFolder(path: folder)
                try body(result)
            } catch let error as ModelFileError {
                #expect(error.path.hasPrefix(folder))
                expectGoodMessage(error, path: error.path)
                throw error
            }
        }
    }

    @Test(arguments: [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("Training.images", "training_y", "my-test.images", "y.TEST"), ("emnist-train-a", "emnist-train-b", "emnist-test-a.gz", "emnist-test-b.gz"),
    ])
    func findsPairsByContent(names: (String, String, String, String)) throws {
        func bytes(_ name: String, _ bytes: [UInt8]) -> [UInt8] { name.hasSuffix(".gz") ? gzip(bytes) : bytes }
        try read([
            names.0: Self.images.training, names.1: Self.labels.training, names.2: bytes(names.2, Self.images.test),
            names.3: bytes(names.3, Self.labels.test), "README": Array("no data".utf8), "archive.gz": gzip([1, 2, 3, 4, 5]),
            ".hidden": Self.labels.test,
        ]) { folder in
            #expect(folder.training.images.bytes == [1, 2, 3, 4, 5, 6] && folder.training.images.shape == [2, 3, 1])
            #expect(folder.test?.images.bytes == [7, 8, 9])
            let labels = (try folder.training.labels.labels(), try folder.test?.labels.labels())
            #expect(labels.0 == [0, 12] && labels.1 == [3])
        }
    }

    @Test func readsASinglePairAndPrefersCompressedFiles() throws {
        try read(["x": Self.images.training, "y": Self.labels.training]) { #expect($0.test == nil && $0.training.images.shape == [2, 3, 1]) }
        try read(["x": Self.images.test, "x.gz": gzip(Self.images.training), "y": Self.labels.training]) {
            #expect($0.training.images.path.hasSuffix(".gz"))
        }
    }

    @Test(
        arguments: [
            ([:], "none"), (["x": images.training], "none"), (["y": labels.training], "none"),
            (["train-x": images.training, "train-y": labels.training], "none"),
            (["a": images.training, "b": images.training, "y": labels.training], "\"a\", \"b\""),
            (["x": images.training, "y": labels.test], "found 1"),
            (["train-test-x": images.training, "train-test-y": labels.training], "train-test-x"),
            (["images-idx3-ubyte": [1, 2, 3, 4, 5], "y": labels.training], "1, 2, 3, 4"),
            (["x": Array(images.training.dropLast()), "y": labels.training], "found 5"),
        ] as [([String: [UInt8]], String)])
    func whatIsMissingAmbiguousOrDamagedIsRefused(files: [String: [UInt8]], words: String) throws {
        let error = try #require(throws: ModelFileError.self) { try read(files) { _ in } }
        #expect(error.description.contains(words), "\(error)")
        #expect(throws: ModelFileError.self) { try IDXFolder(path: "/no/such/folder") }
    }

    @Test func labelsAreIntegersOfAnySize() throws {
        for (type, data, expected) in [
            (0x08, [200, 1], [200, 1]), (0x09, [5, 127], [5, 127]), (0x0B, [1, 0, 0, 2], [256, 2]), (0x0C, [0, 1, 0, 0, 0, 0, 0, 7], [65536, 7]),
        ] as [(UInt8, [UInt8], [Int])] {
            try withFile(idx([2], type: type, data)) { path in
                let file = try IDXFile(path: path)
                #expect(try file.labels() == expected)
            }
        }
        for (type, data) in [(0x09, [5, 0x80]), (0x0B, [0, 0, 0xFF, 0xFF]), (0x0D, [UInt8](repeating: 0, count: 8))] as [(UInt8, [UInt8])] {
            try withFile(idx([2], type: type, data)) { path in
                let file = try IDXFile(path: path)
                expectGoodMessage(try #require(throws: ModelFileError.self) { try file.labels() }, path: path)
            }
        }
    }
}
