import CompactNumerics
import Foundation
import ModelFiles
import Testing

/// A file with the given header text and data.
func safetensors(_ header: String, data: [UInt8] = []) -> [UInt8] {
    safetensors(Array(header.utf8), data: data)
}

func safetensors(_ header: [UInt8], data: [UInt8] = []) -> [UInt8] {
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header + data
}

private func littleEndian(_ values: [Float]) -> [UInt8] {
    values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }
}

@Suite struct SafetensorsReadingTests {
    @Test func readsFloatsMatricesAndMetadata() throws {
        let header = """
            {"__metadata__":{"format":"pt","é":"\\u00e9\\ud83d\\ude00"},
             "b":{"shape":[2,3],"data_offsets":[8,32],"dtype":"F32"}, "a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}
            """
        try withFile(safetensors(header + "   ", data: littleEndian([7, 8, 0, 1, 2, 3, 4, -5]))) { path in
            let file = try SafetensorsFile(path: path)
            #expect(file.tensors.map(\.name) == ["a", "b"])
            #expect(file.metadata == ["format": "pt", "é": "é😀"])
            #expect(try file.floats(named: "a") == [7, 8])
            #expect(try file.matrix(named: "b") == Matrix(rows: 2, columns: 3, elements: [0, 1, 2, 3, 4, -5]))
            #expect(try file.bytes(named: "a") == littleEndian([7, 8]))
            #expect(try file.tensor(named: "b").shape == [2, 3])
            #expect(try file.tensor(named: "b").count == 6)
        }
    }

    @Test func widensAndConvertsEveryReadableType() throws {
        // One tensor of each type, the data in one row; the odd number of bytes of the first leaves the others unaligned.
        let parts: [(type: String, bytes: [UInt8], expected: [Float])] = [
            ("U8", [0, 200, 255], [0, 200, 255]),
            ("F16", [0x00, 0x3C, 0x01, 0x00, 0x00, 0xFC], [1, 0x1p-24, -.infinity]),
            ("BF16", [0x80, 0x3F, 0x49, 0xC0], [1, -3.140625]),
            ("I8", [0x80, 0xFF, 0x7F], [-128, -1, 127]),
            ("I32", [0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x00, 0x00, 0x01], [-1, 16_777_216]),
            ("I64", [0, 0, 0, 0, 0, 0, 0, 0x80], [-0x1p63]),
            ("F32", littleEndian([0.1]), [0.1]),
        ]
        var data: [UInt8] = []
        let members = parts.map { part in
            defer { data += part.bytes }
            return "\"\(part.type)\":{\"dtype\":\"\(part.type)\",\"shape\":[\(part.expected.count)],"
                + "\"data_offsets\":[\(data.count),\(data.count + part.bytes.count)]}"
        }
        try withFile(safetensors("{\(members.joined(separator: ","))}", data: data)) { path in
            let file = try SafetensorsFile(path: path)
            for part in parts {
                #expect(try file.floats(named: part.type) == part.expected, "\(part.type)")
                #expect(try file.bytes(named: part.type) == part.bytes, "\(part.type)")
            }
        }
    }

    @Test func readsMoreThanOneChunk() throws {
        // The period is a prime, so that no chunk looks like another.
        let values = (0..<150_001).map { UInt16($0 % 30_011) }
        let data = values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        let header = #"{"h":{"dtype":"F16","shape":[150001],"data_offsets":[0,300002]}}"#
        try withFile(safetensors(header, data: data)) { path in
            let file = try SafetensorsFile(path: path)
            #expect(try file.floats(named: "h") == values.map { Float(FP16(bitPattern: $0)) })
        }
    }

    @Test func scalarsAndTensorsWithoutElements() throws {
        let header = """
            {"scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"none":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},
             "end":{"dtype":"I8","shape":[5,0],"data_offsets":[4,4]},"wide":{"dtype":"U8","shape":[0,9223372036854775807],"data_offsets":[4,4]}}
            """
        try withFile(safetensors(header, data: littleEndian([2.5]))) { path in
            let file = try SafetensorsFile(path: path)
            #expect(try file.floats(named: "scalar") == [2.5])
            #expect(try file.matrix(named: "none") == Matrix(rows: 0, columns: 3))
            #expect(try file.floats(named: "end").isEmpty)
            #expect(try file.bytes(named: "end").isEmpty)
            #expect(try file.matrix(named: "wide").columns == .max)
        }
        try withFile(safetensors("{}")) { path in
            let file = try SafetensorsFile(path: path)
            #expect(file.tensors.isEmpty)
        }
    }

    @Test func everyTypeOfTheFormatParses() throws {
        for type in TensorType.allCases {
            // Eight elements fill whole bytes in every type.
            let bytes = [UInt8](repeating: 1, count: type.bitWidth)
            let header = #"{"t":{"dtype":"\#(type.rawValue)","shape":[2,4],"data_offsets":[0,\#(bytes.count)]}}"#
            try withFile(safetensors(header, data: bytes)) { path in
                let file = try SafetensorsFile(path: path)
                #expect(try file.bytes(named: "t") == bytes)
                if type.isReadable {
                    #expect(try file.matrix(named: "t").count == 8)
                } else {
                    let error = try #require(throws: ModelFileError.self) { try file.matrix(named: "t") }
                    #expect(error.kind == .unsupported && error.found == type.rawValue)
                    expectGoodMessage(error, path: path)
                }
            }
        }
    }

    @Test func askingForTheWrongTensor() throws {
        try withFile(safetensors(#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: [1])) { path in
            let file = try SafetensorsFile(path: path)
            #expect(throws: ModelFileError.self) { try file.floats(named: "u\n") }
            let error = try #require(throws: ModelFileError.self) { try file.matrix(named: "t") }
            #expect(error.description == "\(path): tensor \"t\": expected two dimensions, found 1")
        }
    }

    @Test func whatIsNoFile() throws {
        try withTemporaryFolder { folder in
            for path in ["\(folder)/absent", folder, "/dev/null"] {
                let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
                #expect(error.kind == .unreadable)
                expectGoodMessage(error, path: path)
            }
        }
    }

    @Test func aFileThatShrinksWhileOpenIsReported() throws {
        try withFile(safetensors(#"{"t":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#, data: [UInt8](repeating: 1, count: 9))) { path in
            let file = try SafetensorsFile(path: path)
            let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            try handle.truncate(atOffset: 20)
            try handle.close()
            #expect(throws: ModelFileError.self) { try file.bytes(named: "t") }
            let error = try #require(throws: ModelFileError.self) { try file.floats(named: "t") }
            #expect(error.kind == .truncated)
        }
    }
}

@Suite struct SafetensorsWritingTests {
    private let matrix = Matrix(rows: 3, columns: 5) { Float($0) - Float($1) / 3 }

    @Test func readsBackWhatWasWritten() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/model.safetensors"
            let name = "weird \"name\"\n\\ é 😀"
            try SafetensorsFile.write(
                [
                    TensorContent(name: "codes", type: .i8, shape: [3], bytes: [1, 2, 255]),
                    .fp16(name: "half", matrix: matrix), .bf16(name: "brain", matrix: matrix),
                    TensorContent(name: name, matrix: matrix), TensorContent(name: "none", type: .u8, shape: [0], bytes: []),
                ], metadata: ["key": "line\nline"], to: path)
            let file = try SafetensorsFile(path: path)
            #expect(file.metadata == ["key": "line\nline"])
            #expect(try file.matrix(named: name) == matrix)
            #expect(try file.matrix(named: "half") == Matrix(rows: 3, columns: 5) { Float(FP16(matrix[$0, $1])) })
            #expect(try file.matrix(named: "brain") == Matrix(rows: 3, columns: 5) { Float(BF16(matrix[$0, $1])) })
            #expect(try file.floats(named: "codes") == [1, 2, -1])
            #expect(file.tensors.first?.name == name, "the widest elements come first")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.safetensors"])
        }
    }

    @Test func writesMoreThanOneChunk() throws {
        let large = Matrix(rows: 3, columns: 50_000) { Float(($0 * 50_000 + $1) % 509) / 8 }
        try withTemporaryFolder { folder in
            let path = "\(folder)/large"
            try SafetensorsFile.write([.bf16(name: "b", matrix: large), .fp16(name: "h", matrix: large)], to: path)
            let file = try SafetensorsFile(path: path)
            #expect(try file.matrix(named: "h") == large, "509 eighths are exact in FP16")
            #expect(try file.matrix(named: "b") == Matrix(rows: 3, columns: 50_000) { Float(BF16(large[$0, $1])) })
        }
    }

    @Test func aRefusedWriteLeavesTheOldFileAlone() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/model.safetensors"
            try SafetensorsFile.write([TensorContent(name: "old", matrix: matrix)], to: path)
            let bad: [[TensorContent]] = [
                [TensorContent(name: "a", type: .f32, shape: [2], bytes: [1, 2, 3])],
                [TensorContent(name: "a", matrix: matrix), TensorContent(name: "a", matrix: matrix)],
                [TensorContent(name: "__metadata__", matrix: matrix)],
                [TensorContent(name: "a", type: .u8, shape: [-1, -1], bytes: [1])],
                [TensorContent(name: "a", type: .u8, shape: [.max, .max], bytes: [1])],
            ]
            for tensors in bad {
                let error = try #require(throws: ModelFileError.self) {
                    try SafetensorsFile.write(tensors, metadata: ["k": "v"], to: path)
                }
                #expect(error.kind == .mismatch)
                expectGoodMessage(error, path: path)
            }
            #expect(try SafetensorsFile(path: path).matrix(named: "old") == matrix)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.safetensors"])
        }
    }

    @Test func failuresOfTheSystemLeaveNothingBehind() throws {
        try withTemporaryFolder { folder in
            // A folder stands where the file should go, so the rename fails after everything has been written.
            let taken = "\(folder)/taken"
            try FileManager.default.createDirectory(atPath: taken, withIntermediateDirectories: false)
            for path in [taken, "\(folder)/absent/file"] {
                let error = try #require(throws: ModelFileError.self) {
                    try SafetensorsFile.write([TensorContent(name: "a", matrix: matrix)], to: path)
                }
                #expect(error.kind == .unwritable)
                expectGoodMessage(error, path: path)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["taken"])
        }
    }
}
