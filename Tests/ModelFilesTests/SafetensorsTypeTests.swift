import CompactNumerics
import Foundation
@testable import ModelFiles
import Testing

/// What the format's reference reads: every type with numbers, tensors of any rank as matrices, metadata of null.
@Suite struct SafetensorsTypeTests {
    /// A file of one tensor t.
    private func withTensor(_ type: TensorType, _ shape: [Int], _ bytes: [UInt8], _ body: (SafetensorsFile) throws -> Void) throws {
        let header = #"{"t":{"dtype":"\#(type.rawValue)","shape":\#(shape),"data_offsets":[0,\#(bytes.count)]}}"#
        try withFile(safetensors(header, data: bytes)) { path in try body(SafetensorsFile(path: path)) }
    }

    private func littleEndian<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
        values.flatMap { withUnsafeBytes(of: $0.littleEndian) { Array($0) } }
    }

    /// (−1)^s · 2^(e − bias) · (1 + f / 2^m), or 2^(1 − bias) · f / 2^m where e = 0.
    private func formula(_ code: Int, exponentBits: Int, bias: Int) -> Double {
        let fractionBits = 7 - exponentBits, exponent = code >> fractionBits & (1 << exponentBits - 1)
        let fraction = Double(code % (1 << fractionBits)) / Double(1 << fractionBits)
        let magnitude = exponent == 0 ? exp2(Double(1 - bias)) * fraction : exp2(Double(exponent - bias)) * (1 + fraction)
        return code >= 128 ? -magnitude : magnitude
    }

    /// Type, bits of the exponent, its bias, codes of infinity and of NaN, the largest number, the smallest above 0.
    private static let formats: [(TensorType, Int, Int, [Int], [Int], Float, Float)] = [
        (.f8e4m3, 4, 7, [], [0x7F, 0xFF], 448, 0x1p-9),
        (.f8e5m2, 5, 15, [0x7C, 0xFC], [0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF], 57344, 0x1p-16),
        (.f8e4m3fnuz, 4, 8, [], [0x80], 240, 0x1p-10),
        (.f8e5m2fnuz, 5, 16, [], [0x80], 57344, 0x1p-17),
    ]

    @Test(arguments: formats)
    func allCodesOfEightBits(type: TensorType, exponentBits: Int, bias: Int, infinities: [Int], nans: [Int], largest: Float, least: Float) throws {
        try withTensor(type, [256], Array(0...255)) { (file) throws in
            let values = try file.floats(named: "t")
            for code in 0..<256 {
                if nans.contains(code) {
                    #expect(values[code].isNaN, "code \(code)")
                } else {
                    let expected =
                        infinities.contains(code)
                        ? (code < 128 ? Float.infinity : -.infinity) : Float(formula(code, exponentBits: exponentBits, bias: bias))
                    #expect(values[code].bitPattern == expected.bitPattern, "code \(code): \(values[code]), \(expected)")
                }
            }
            let finite = values.filter(\.isFinite)
            #expect(finite.max() == largest && finite.filter { $0 > 0 }.min() == least)
            #expect(try file.changedCount(named: "t") == 0)
        }
    }

    @Test func scalesOfEightBits() throws {
        try withTensor(.f8e8m0, [256], Array(0...255)) { (file) throws in
            let values = try file.floats(named: "t")
            #expect((0..<255).allSatisfy { Double(values[$0]) == exp2(Double($0 - 127)) } && values[255].isNaN)
        }
    }

    @Test func integersAndBooleans() throws {
        func check<Value: FixedWidthInteger>(_ type: TensorType, _ values: [Value], changed: Int = 0) throws {
            try withTensor(type, [values.count], littleEndian(values)) { (file) throws in
                #expect(try file.floats(named: "t") == values.map { Float(exactly: $0) ?? Float(Double($0)) }, "\(type)")
                #expect(try file.changedCount(named: "t") == changed, "\(type)")
            }
        }
        try check(.i8, [Int8.min, -1, 0, .max])
        try check(.u8, [0, UInt8.max])
        try check(.i16, [Int16.min, -1, 0, .max])
        try check(.u16, [0, 1, UInt16.max])
        try check(.i32, [Int32.min, -1, 1 << 24, 1 << 24 + 1, .max], changed: 2)
        try check(.u32, [0, 1 << 24 + 1, UInt32.max], changed: 2)
        try check(.i64, [Int64.min, -1, 1 << 40], changed: 0)
        try check(.i64, [1 << 40 + 1, .max], changed: 2)
        try check(.u64, [0, 1 << 63, UInt64.max], changed: 1)
        try withTensor(.bool, [3], [0, 1, 1]) { (file) throws in #expect(try file.floats(named: "t") == [0, 1, 1]) }
        try withTensor(.bool, [70_000], [UInt8](repeating: 1, count: 69_999) + [2]) { (file) throws in
            let error = try #require(throws: ModelFileError.self) { try file.floats(named: "t") }
            #expect(error.what == "element 69999 of tensor \"t\"" && error.found == "2")
            expectGoodMessage(error, path: file.path)
        }
    }

    @Test func doublesRoundToNearestEven() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("SafetensorsTypeTests.doublesRoundToNearestEven: seed \(seed)")
        var random = SplitMix64(state: seed)
        let limits: [Double] = [
            0, 1, 1 + 0x1p-24, 1 + 0x1p-23 + 0x1p-24, (1 + 0x1p-24).nextUp, (1 + 0x1p-24).nextDown, 0x1.FFFFFEp127, 0x1.FFFFFEFFFFFFFp127,
            0x1.FFFFFFp127,
            0x1p128, 0x1p-126, 0x1.FFFFFFp-127, 0x1p-149, 0x1p-150, (0x1p-150).nextUp, 0x1.8p-149, 0x1p-151, 0x1.FFFFFFFFFFFFFp-151,
            .leastNonzeroMagnitude,
            .leastNormalMagnitude, .greatestFiniteMagnitude, .infinity, 1 / 3,
        ]
        // Exponents of float32 with its subnormals, and beyond on both sides; every other one on a tie or beside one.
        let values =
            limits + limits.map { -$0 }
            + (0..<70_000).map { index -> Double in
                let bits = random.next(), exponent = UInt64(Int.random(in: -160...130, using: &random) + 1023)
                let beside = 1 << 28 + UInt64.random(in: 0...2, using: &random) - 1
                let fraction = index % 2 == 0 ? bits & (1 << 52 - 1) : bits & (1 << 52 - 1 << 29 as UInt64) | beside
                return Double(bitPattern: bits & 1 << 63 | exponent << 52 | fraction)
            }
        try withTensor(.f64, [values.count], littleEndian(values.map(\.bitPattern))) { (file) throws in
            let read = try file.floats(named: "t")
            for (value, found) in zip(values, read) { #expect(found.bitPattern == Float(value).bitPattern, "\(value): \(found), seed \(seed)") }
            #expect(try file.changedCount(named: "t") == values.count { Double(Float($0)) != $0 })
        }
        try withTensor(.f64, [3], littleEndian([0x7FF0_0000_0000_0001, 0xFFFC_0000_0000_0000, 0x7FF8_0000_2000_0000] as [UInt64])) { (file) throws in
            #expect(try file.floats(named: "t").map(\.bitPattern) == [0x7FC0_0000, 0xFFE0_0000, 0x7FC0_0001])
            #expect(try file.changedCount(named: "t") == 0)
        }
    }

    /// The rounding mode of the thread that reads does not matter.
    @Test func doublesRoundToNearestInAnyMode() throws {
        let values: [Double] = [1 + 0x1p-24, 1 + 0x1.8p-24, -1 - 0x1.8p-24, 0x1.8p-149, 0x1.FFFFFFp127, 1 / 3]
        try withTensor(.f64, [values.count], littleEndian(values.map(\.bitPattern))) { (file) throws in
            for mode in [FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST] as [Int32] {
                fesetround(mode)
                let read = try? file.floats(named: "t")
                fesetround(FE_TONEAREST as Int32)
                #expect(read == [1, 1 + 0x1p-23, -1 - 0x1p-23, 0x1p-148, .infinity, 0x1.555556p-2], "mode \(mode)")
            }
        }
    }

    @Test(
        arguments: [
            ([2, 3, 2], .firstByRest, 2, 6), ([12], .firstByRest, 12, 1), ([], .firstByRest, 1, 1), ([3, 4], .firstByRest, 3, 4),
            ([2, 3, 2], .reshaped(rows: 4, columns: 3), 4, 3), ([12], .reshaped(rows: 1, columns: 12), 1, 12),
            ([], .reshaped(rows: 1, columns: 1), 1, 1),
            ([0, .max, .max], .reshaped(rows: 0, columns: 5), 0, 5), ([0, 7, 2], .firstByRest, 0, 14),
        ] as [([Int], MatrixView, Int, Int)])
    func tensorsOfAnyRankAsMatrices(shape: [Int], view: MatrixView, rows: Int, columns: Int) throws {
        try withTensor(.u8, shape, (0..<UInt8(shape.reduce(1, *))).map { $0 }) { (file) throws in
            let matrix = try file.matrix(named: "t", as: view)
            #expect(matrix == Matrix(rows: rows, columns: columns) { Float($0 * columns + $1) })
        }
    }

    @Test(
        arguments: [
            ([2, 3], .reshaped(rows: 2, columns: 2)), ([2, 3], .reshaped(rows: -2, columns: -3)), ([0, 2], .reshaped(rows: .max, columns: 2)),
            ([0, .max, .max], .firstByRest),
        ] as [([Int], MatrixView)])
    func viewsOfOtherSizesAreRefused(shape: [Int], view: MatrixView) throws {
        try withTensor(.u8, shape, [UInt8](repeating: 1, count: shape.reduce(1, *))) { (file) throws in
            let error = try #require(throws: ModelFileError.self) { try file.matrix(named: "t", as: view) }
            #expect(error.kind == .mismatch)
            expectGoodMessage(error, path: file.path)
        }
    }

    @Test func metadataOfNullIsNone() throws {
        try withFile(safetensors(#"{"__metadata__": null , "t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: [7])) { path in
            let file = try SafetensorsFile(path: path)
            #expect(file.metadata.isEmpty && file.tensors.count == 1)
        }
        for text in ["nul", "nullx", "NULL", "n"] {
            try withFile(safetensors("{\"__metadata__\":\(text)}")) { path in
                #expect(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
            }
        }
        try withFile(safetensors(#"{"__metadata__":null,"__metadata__":null}"#)) { path in
            #expect(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
        }
    }

    @Test(
        arguments: [
            (Array("hello there, this is text\nand more".utf8), "text that begins with \"hello there, this is text\""),
            (Array("x".utf8), "text that begins with \"x\""),
            (Array("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n".utf8), "Git LFS pointer"),
            (Array("<!DOCTYPE html><html>".utf8), "<!DOCTYPE html>"), (Array("PK\u{3}\u{4}".utf8) + [20, 0, 0, 0, 0, 0], "ZIP"),
            ([0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9], "pickle"), (Array("GGUF".utf8) + [3, 0, 0, 0, 9, 0, 0, 0], "GGUF"),
            ([0x89] + Array("HDF\r\n\u{1A}\n".utf8) + [0, 0], "HDF5"), ([0x93] + Array("NUMPY".utf8) + [1, 0, 0x76, 0], "NumPy"),
            ([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0], "gzip"), ([0x28, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0], "Zstandard"),
            ([0x1C, 0, 0, 0] + Array("TFL3".utf8) + [0, 0], "TensorFlow Lite"),
        ] as [([UInt8], String)])
    func filesOfOtherFormatsAreNamed(bytes: [UInt8], word: String) throws {
        try withFile(bytes) { path in
            let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
            #expect(error.what == "not a safetensors file" && error.found.contains(word), "\(error)")
            expectGoodMessage(error, path: path)
        }
    }
}
