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

/// A copy of `template` for each index: # is the digit of a decimal number of as many digits, from 1,000,000 on for seven; @ one of the number
/// behind it; % one of base 62. Test code is not optimized, and this makes 100 MB without strings.
func repeated(_ template: String, _ indices: some Sequence<Int>) -> [UInt8] {
    let pattern = Array(template.utf8), digits = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
    let places = pattern.indices.filter { [0x23, 0x40, 0x25].contains(pattern[$0]) }.reversed()
    let runs: [(start: Int, length: Int, kind: UInt8)] = places.reduce(into: []) { runs, place in
        if let last = runs.last, last.start == place + 1, last.kind == pattern[place] {
            runs[runs.count - 1] = (place, last.length + 1, last.kind)
        } else {
            runs.append((place, 1, pattern[place]))
        }
    }
    var bytes: [UInt8] = []
    var piece = pattern
    for index in indices {
        for run in runs {
            var rest = run.kind == 0x25 ? index : 1_000_000 + index + (run.kind == 0x40 ? 1 : 0)
            let base = run.kind == 0x25 ? 62 : 10
            var place = run.start + run.length
            while place > run.start {
                place -= 1
                piece[place] = digits[rest % base]
                rest /= base
            }
        }
        bytes.append(contentsOf: piece)
    }
    return bytes
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
