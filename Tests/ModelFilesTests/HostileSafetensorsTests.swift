import Foundation
import ModelFiles
import Testing

/// Files that break the format: each is refused with one line, and none may crash the reader or make it allocate much.
@Suite struct HostileSafetensorsTests {
    private static func one(_ members: String) -> String { "{\"t\":{\(members)}}" }
    private static let sound = #""dtype":"U8","shape":[4],"data_offsets":[0,4]"#

    /// Header, and a word that its message must contain. All have four bytes of data.
    private static let headers: [(String, String)] = [
        // Offsets and sizes.
        (one(#""dtype":"U8","shape":[4],"data_offsets":[4,0]"#), "4 before 0"),
        (one(#""dtype":"U8","shape":[5],"data_offsets":[0,5]"#), "within the 4 bytes"),
        (one(#""dtype":"U8","shape":[3],"data_offsets":[0,3]"#), "as many as the tensors"),
        (one(#""dtype":"U8","shape":[3],"data_offsets":[1,4]"#), "a hole"),
        (one(#""dtype":"U8","shape":[3],"data_offsets":[0,4]"#), "3 bytes"),
        (one(#""dtype":"F32","shape":[4],"data_offsets":[0,4]"#), "16 bytes"),
        (one(#""dtype":"U8","shape":[4],"data_offsets":[0]"#), "two data_offsets"),
        (one(#""dtype":"U8","shape":[4],"data_offsets":[0,4,4]"#), "two data_offsets"),
        (#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#, "an overlap"),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, "an overlap"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#, "a hole"),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}"#, "an overlap"),
        ("{}", "0 bytes, as many"),
        // Huge counts.
        (one(#""dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,4]"#), "at most \(Int.max)"),
        (one(#""dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551616]"#), "at most \(Int.max)"),
        (one(#""dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]"#), "an Int can count"),
        (one(#""dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]"#), "an Int can count"),
        (one(#""dtype":"F64","shape":[1152921504606846977],"data_offsets":[0,4]"#), "an Int can count"),
        (one(#""dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]"#), "an Int can count"),
        (one(#""dtype":"F4","shape":[7],"data_offsets":[0,4]"#), "whole bytes"),
        // Numbers that are no natural numbers.
        (one(#""dtype":"U8","shape":[-4],"data_offsets":[0,4]"#), "integer"),
        (one(#""dtype":"U8","shape":[4.0],"data_offsets":[0,4]"#), "found \".\""),
        (one(#""dtype":"U8","shape":[4e0],"data_offsets":[0,4]"#), "found \"e\""),
        (one(#""dtype":"U8","shape":[04],"data_offsets":[0,4]"#), "leading zero"),
        (one(#""dtype":"U8","shape":["4"],"data_offsets":[0,4]"#), "integer"),
        (one(#""dtype":"U8","shape":[true],"data_offsets":[0,4]"#), "integer"),
        (one(#""dtype":"U8","shape":4,"data_offsets":[0,4]"#), "shape"),
        (one(#""dtype":"U8","shape":[4,],"data_offsets":[0,4]"#), "integer"),
        (one(#""dtype":"U8","shape":[4 4],"data_offsets":[0,4]"#), "\",\""),
        // Members.
        (one(#""dtype":"U8","shape":[4]"#), "no data_offsets"),
        (one(#""dtype":"U8","data_offsets":[0,4]"#), "no shape"),
        (one(#""shape":[4],"data_offsets":[0,4]"#), "no dtype"),
        (one(sound + #","extra":1"#), "extra"),
        (one(sound + #","dtype":"U8""#), "again"),
        (one(sound + #","d\u0074ype":"U8""#), "again"),
        (one(#""dtype":"F33","shape":[4],"data_offsets":[0,4]"#), "F33"),
        (one(#""dtype":8,"shape":[4],"data_offsets":[0,4]"#), "dtype"),
        ("{\"t\":{\(sound)},\"t\":{\(sound)}}", "again"),
        ("{\"t\":{\(sound)},\"\\u0074\":{\(sound)}}", "again"),
        ("{\"t\":[]}", "tensor"),
        ("{\"t\":null}", "tensor"),
        // Metadata.
        ("{\"__metadata__\":[],\"t\":{\(sound)}}", "__metadata__"),
        ("{\"__metadata__\":{\"a\":1},\"t\":{\(sound)}}", "value"),
        ("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"},\"t\":{\(sound)}}", "again"),
        ("{\"__metadata__\":{},\"__metadata__\":{},\"t\":{\(sound)}}", "again"),
        // Not JSON.
        ("", "empty header"),
        (" {\"t\":{\(sound)}}", "first byte"),
        ("[]", "first byte"),
        ("{\"t\":{\(sound)}", "end of the header"),
        ("{\"t\":{\(sound)}}}", "the end of the header"),
        ("{\"t\":{\(sound)}} x", "the end of the header"),
        ("{\"t\":{\(sound)}}\0", "the end of the header"),
        ("{\"t\":{\(sound)},}", "a name"),
        ("{t:{\(sound)}}", "a name"),
        ("{\"t\" {\(sound)}}", "\":\""),
        ("{\"t", "that ends"),
        ("{\"t\\", "escape"),
        ("{\"t\\x\":{\(sound)}}", "escape"),
        ("{\"t\\u12\":{\(sound)}}", "hexadecimal"),
        ("{\"t\\u12", "hexadecimal"),
        ("{\"t\\ud800\":{\(sound)}}", "surrogates"),
        ("{\"t\\ud800\\u0041\":{\(sound)}}", "surrogates"),
        ("{\"t\\udc00\":{\(sound)}}", "surrogates"),
        ("{\"t\n\":{\(sound)}}", "control"),
    ]

    @Test(arguments: headers)
    func refuses(header: String, word: String) throws {
        try withFile(safetensors(header, data: [1, 2, 3, 4])) { path in
            let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
            expectGoodMessage(error, path: path)
            #expect(error.description.contains(word), "\(error)")
        }
    }

    @Test func refusesTheSoundOneOnlyWhenChanged() throws {
        try withFile(safetensors(Self.one(Self.sound), data: [1, 2, 3, 4])) { path in
            let file = try SafetensorsFile(path: path)
            #expect(try file.floats(named: "t") == [1, 2, 3, 4])
        }
    }

    @Test(arguments: [[0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3]] as [[UInt8]])
    func refusesInvalidUTF8(bytes: [UInt8]) throws {
        let header = Array("{\"t".utf8) + bytes + Array("\":{\(Self.sound)}}".utf8)
        try withFile(safetensors(header, data: [1, 2, 3, 4])) { path in
            let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
            #expect(error.description.contains("UTF-8"), "\(error)")
            expectGoodMessage(error, path: path)
        }
    }

    @Test(arguments: [1, 54, 100_000_000, 100_000_001, UInt64(Int64.max), UInt64(Int64.max) + 1, UInt64.max - 7, .max])
    func refusesHeadersLongerThanTheFile(length: UInt64) throws {
        let bytes = withUnsafeBytes(of: length.littleEndian) { Array($0) } + (length == 1 ? [] : Array("{}".utf8))
        try withFile(bytes) { path in
            let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
            #expect(error.what == "header length")
            expectGoodMessage(error, path: path)
        }
    }

    @Test func depthBombsEndAtTheFirstLevel() throws {
        for text in ["{\"t\":" + String(repeating: "[", count: 1_000_000), String(repeating: "{\"t\":", count: 1_000_000)] {
            try withFile(safetensors(text)) { path in
                let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
                expectGoodMessage(error, path: path)
            }
        }
    }

    @Test func longNamesDoNotMakeLongMessages() throws {
        let name = String(repeating: "x\u{202E}", count: 100_000)
        try withFile(safetensors("{\"\(name)\":{}}")) { path in
            let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
            expectGoodMessage(error, path: path)
            #expect(!error.description.contains("\u{202E}"))
        }
    }

    private static let small: [UInt8] = safetensors(
        #"{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[3,11]},"b\u00e9":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}}"#,
        data: [1, 2, 3, 0, 0, 128, 63, 0, 0, 0, 64])

    @Test func refusesEveryTruncation() throws {
        try withFile(Self.small) { path in
            let file = try SafetensorsFile(path: path)
            #expect(try file.floats(named: "a") == [1, 2])
        }
        for length in 0..<Self.small.count {
            try withFile(Array(Self.small.prefix(length))) { path in
                let error = #expect(throws: ModelFileError.self, "first \(length) bytes") { try SafetensorsFile(path: path) }
                if let error { expectGoodMessage(error, path: path) }
            }
        }
        try withFile(Self.small + [0]) { path in
            #expect(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
        }
    }

    /// Changed files throw a good error or read completely.
    @Test func survivesRandomChanges() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("HostileSafetensorsTests.survivesRandomChanges: seed \(seed)")
        var random = SplitMix64(state: seed)
        try withTemporaryFolder { folder in
            let path = "\(folder)/file"
            for _ in 0..<3000 {
                var bytes = Self.small
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    let index = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<4, using: &random) {
                    case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                    case 1: bytes[index] = Array("{}[]\",:0919eE-\\u ".utf8).randomElement(using: &random)!
                    case 2: bytes.remove(at: index)
                    default: bytes.insert(bytes.randomElement(using: &random)!, at: index)
                    }
                }
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                do throws(ModelFileError) {
                    let file = try SafetensorsFile(path: path)
                    for tensor in file.tensors {
                        #expect(try file.bytes(named: tensor.name).count == tensor.byteCount, "seed \(seed)")
                    }
                } catch {
                    expectGoodMessage(error, path: path)
                }
            }
        }
    }
}
