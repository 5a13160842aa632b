import CompactNumerics
import Foundation
@testable import ModelCompression
import ModelFiles
import Testing

@Suite struct LabelledImageTests {
    /// IDX files of unsigned bytes in a folder of their own.
    private func withFolder(_ files: [(name: String, sizes: [Int], bytes: [UInt8])], _ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "images-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for (name, sizes, bytes) in files {
            let header: [UInt8] = [0, 0, 8, UInt8(sizes.count)] + sizes.flatMap { [0, UInt8($0 >> 16), UInt8($0 >> 8 & 255), UInt8($0 & 255)] }
            try Data(header + bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
        }
        try body(folder)
    }

    @Test(arguments: [([5, 7], [5, 7, 1]), ([2, 3, 4], [2, 3, 4]), ([6], [1, 1, 6])] as [([Int], [Int])])
    func imagesOfAnySizeAndAnyNumberOfClasses(sizes: [Int], shape: [Int]) throws {
        let count = sizes.reduce(1, *), pixels = (0..<20 * count).map { UInt8($0 % 256) }, labels = (0..<20).map { UInt8($0 % 5 * 7) }
        try withFolder([
            ("my-train-x", [20] + sizes, pixels), ("my-train-y", [20], labels), ("my-test-x", [1] + sizes, Array(pixels.prefix(count))),
            ("my-test-y", [1], [31]),
        ]) { folder in
            let (training, test) = try LabelledData.imagesAndLabels(in: folder)
            #expect(training.shape == SampleShape(height: shape[0], width: shape[1], channels: shape[2]) && test.shape == training.shape)
            // The largest label of both parts counts.
            #expect(training.classes == 32 && test.classes == 32 && training.count == 20 && test.labels == [31])
            #expect(training.inputs[0, count - 1] == Float(count - 1) / 255 && training.labels[1] == 7)
        }
        try withFolder([("x", [20] + sizes, pixels), ("y", [20], labels)]) { folder in
            let (training, test) = try LabelledData.imagesAndLabels(in: folder, seed: 3)
            #expect(training.count == 16 && test.count == 4 && training.classes == 29)
            #expect(try LabelledData.imagesAndLabels(in: folder, seed: 3).test.inputs == test.inputs)
        }
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let labels: [UInt8] = [0, 1]
        for (training, test) in [([2, 2, 2], [2, 2, 3]), ([2, 1, 1, 1, 1], [2, 1, 1, 1, 1])] as [([Int], [Int])] {
            let files = [("train-x", training), ("test-x", test)].map { ($0.0, $0.1, [UInt8](repeating: 1, count: $0.1.reduce(1, *))) }
            try withFolder(files + [("train-y", [2], labels), ("test-y", [2], labels)]) { folder in
                #expect(throws: CompressionError.self) { try LabelledData.imagesAndLabels(in: folder) }
            }
        }
        try withFolder([("x", [0, 2, 2], []), ("y", [0], [])]) { folder in
            #expect(throws: CompressionError.self) { try LabelledData.imagesAndLabels(in: folder) }
        }
    }
}
