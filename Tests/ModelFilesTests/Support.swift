import Foundation
import ModelFiles
import Testing

/// A folder that exists while `body` runs.
func withTemporaryFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ModelFilesTests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
}

/// Calls `body` with the path of a file that holds `bytes`.
func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
        let path = "\(folder)/file"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        try body(path)
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same sequence for the same seed on every platform.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// Every message is one line that names the file, what was expected and what was found.
func expectGoodMessage(_ error: ModelFileError, path: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let text = error.description
    #expect(text.hasPrefix("\(path): "), sourceLocation: sourceLocation)
    #expect(text.contains("expected") && text.contains("found"), sourceLocation: sourceLocation)
    #expect(!text.contains("\n") && !error.found.isEmpty && text.utf8.count < 1000, sourceLocation: sourceLocation)
}
