import Foundation
import ModelFiles
import Testing

/// Headers changed by what matters to a parser rather than by single bits: numbers at the limits, members twice, missing, moved, cut.
@Suite struct HeaderMutationTests {
    private static let whole =
        #"{"__metadata__":{"format":"pt","é":"\u00e9\ud83d\ude00"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#
        + #""b":{"dtype":"F64","shape":[],"data_offsets":[24,32]},"c":{"dtype":"BOOL","shape":[0,7],"data_offsets":[32,32]},"#
        + #""d":{"dtype":"F8_E4M3","shape":[4,1,1],"data_offsets":[32,36]}}"#

    /// The header in tokens: strings, numbers, single characters.
    private static let tokens: [[UInt8]] = {
        var tokens: [[UInt8]] = [], rest = Array(whole.utf8)[...]
        while let first = rest.first {
            var length = 1
            if first == UInt8(ascii: "\"") {
                length = rest.dropFirst().firstIndex(of: first)! - rest.startIndex + 1
            } else {
                length = max(1, rest.prefix { (0x30...0x39).contains($0) }.count)
            }
            tokens.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return tokens
    }()

    private static let strange: [String] = [
        "0", "1", "00", "-1", "36", "37", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e9", "4294967296", "null", "true",
        "{", "}", "[",
        "]", ",", ":", "\"", "\"a.weight\"", "\"b\"", "\"__metadata__\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"F4\"", "\"I64\"", "\"U8\"",
        "\"C64\"",
        "\"\\ud800\"", "\"\\u0000\"", "\"e\u{301}\"", "\"\u{E9}\"", "\\", " ", "\n", "\0", "\u{FEFF}",
    ]

    @Test func changedHeadersAreReadOrRefused() throws {
        let seed = ProcessInfo.processInfo.environment["CK_TEST_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
        print("HeaderMutationTests: seed \(seed)")
        var random = SplitMix64(state: seed), opened = 0
        let data = (0..<36).map { _ in UInt8.random(in: 0...255, using: &random) }
        try withTemporaryFolder { folder in
            let path = "\(folder)/file"
            for round in 0..<6000 {
                var tokens = Self.tokens
                for _ in 0..<Int.random(in: 0...3, using: &random) { Self.change(&tokens, &random) }
                var bytes = safetensors(Array(tokens.joined()), data: data)
                // One in eight says a wrong length too.
                if round % 8 == 0 { bytes[Int.random(in: 0..<8, using: &random)] = UInt8.random(in: 0...255, using: &random) }
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                do throws(ModelFileError) {
                    let file = try SafetensorsFile(path: path)
                    opened += 1
                    // A file that opens adds up, and each tensor reads or says why not.
                    #expect(file.tensors.reduce(0) { $0 + $1.byteCount } <= data.count, "seed \(seed), round \(round)")
                    for tensor in file.tensors { try Self.read(tensor, of: file) }
                } catch {
                    expectGoodMessage(error, path: path)
                }
            }
        }
        #expect(opened > 500, "some stay sound")
    }

    private static func read(_ tensor: TensorDescription, of file: SafetensorsFile) throws(ModelFileError) {
        let bytes = try file.bytes(named: tensor.name)
        #expect(bytes.count == tensor.byteCount && tensor.count * tensor.type.bitWidth == 8 * bytes.count)
        do throws(ModelFileError) {
            let matrix = try file.matrix(named: tensor.name, as: .firstByRest)
            #expect(matrix.count == tensor.count)
            _ = try file.changedCount(named: tensor.name)
        } catch {
            #expect([.unsupported, .malformed, .mismatch].contains(error.kind))
            expectGoodMessage(error, path: file.path)
        }
    }

    private static func change(_ tokens: inout [[UInt8]], _ random: inout SplitMix64) {
        guard !tokens.isEmpty else { return }
        let place = Int.random(in: 0..<tokens.count, using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: tokens[place] = Array(strange.randomElement(using: &random)!.utf8)
        case 1: tokens.insert(Array(strange.randomElement(using: &random)!.utf8), at: place)
        case 2: tokens.remove(at: place)
        case 3: tokens.swapAt(place, Int.random(in: 0..<tokens.count, using: &random))
        case 4:
            let end = min(tokens.count, place + Int.random(in: 1...20, using: &random))
            tokens.insert(contentsOf: tokens[place..<end], at: Int.random(in: 0...tokens.count, using: &random))
        case 5: tokens.removeSubrange(place..<min(tokens.count, place + Int.random(in: 1...20, using: &random)))
        default: tokens = Array(tokens.prefix(place))
        }
    }
}
