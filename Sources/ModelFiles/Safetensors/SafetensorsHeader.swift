/// The header of a safetensors file: 8 bytes with its length N, little-endian, then N bytes of JSON
/// (github.com/huggingface/safetensors, section "Format" of its README).
internal struct SafetensorsHeader {
    /// The name that stands for metadata rather than for a tensor.
    static let metadataName = "__metadata__"
    /// The limit of the format's reference reader.
    static let largestLength = 100_000_000

    /// In the order of their bytes in the file.
    let tensors: [TensorDescription]
    let metadata: [String: String]
    /// Where the data section begins in the file.
    let dataStart: Int

    init(of file: InputFile) throws(ModelFileError) {
        let length = try Self.length(in: file)
        let json = try file.bytes(at: 8, count: length)
        guard json.first == UInt8(ascii: "{") else {
            throw ModelFileError(
                .malformed, path: file.path, what: "first byte of the header", expected: "\"{\"",
                found: json.first.map { "byte \($0)" } ?? "an empty header")
        }
        dataStart = 8 + length
        (tensors, metadata) = try Self.parse(json, path: file.path, dataSize: file.size - dataStart)
        try Self.requireCoverage(of: file.size - dataStart, by: tensors, path: file.path)
    }

    private static func length(in file: InputFile) throws(ModelFileError) -> Int {
        guard file.size >= 8 else {
            throw ModelFileError(
                .truncated, path: file.path, what: "size of a safetensors file", expected: "at least 8 bytes", found: "\(file.size)")
        }
        let length = try file.bytes(at: 0, count: 8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(largestLength) else {
            throw ModelFileError(
                .malformed, path: file.path, what: "header length", expected: "at most \(largestLength) bytes", found: "\(length)")
        }
        guard length <= UInt64(file.size - 8) else {
            throw ModelFileError(
                .truncated, path: file.path, what: "header length", expected: "at most the \(file.size - 8) bytes that follow",
                found: "\(length)")
        }
        return Int(length)
    }

    private static func parse(
        _ json: [UInt8], path: String, dataSize: Int
    ) throws(ModelFileError) -> (tensors: [TensorDescription], metadata: [String: String]) {
        var tensors: [TensorDescription] = []
        var metadata: [String: String] = [:]
        var scanner = HeaderScanner(json, path: path)
        try scanner.forEachMember(of: "the header") { (scanner, name) throws(ModelFileError) in
            if name == metadataName {
                try scanner.forEachMember(of: metadataName) { (scanner, key) throws(ModelFileError) in
                    metadata[key] = try scanner.string("the value of \(key.quoted)")
                }
            } else {
                tensors.append(try tensor(name, &scanner, path: path, dataSize: dataSize))
            }
        }
        try scanner.requireEnd()
        // Tensors without bytes come before the one that begins at the same place.
        tensors.sort { ($0.offset, $0.byteCount, $0.name) < ($1.offset, $1.byteCount, $1.name) }
        return (tensors, metadata)
    }

    private static func tensor(
        _ name: String, _ scanner: inout HeaderScanner, path: String, dataSize: Int
    ) throws(ModelFileError) -> TensorDescription {
        let what = "tensor \(name.quoted)"
        var typeName: String?
        var shape: [Int]?
        var offsets: [Int]?
        try scanner.forEachMember(of: what) { (scanner, key) throws(ModelFileError) in
            switch key {
            case "dtype": typeName = try scanner.string("dtype of \(what)")
            case "shape": shape = try scanner.naturals("shape of \(what)")
            case "data_offsets": offsets = try scanner.naturals("data_offsets of \(what)")
            default:
                throw ModelFileError(
                    .malformed, path: path, what: what, expected: "dtype, shape and data_offsets", found: key.quoted)
            }
        }
        func malformed(_ expected: String, _ found: String) -> ModelFileError {
            ModelFileError(.malformed, path: path, what: what, expected: expected, found: found)
        }
        guard let typeName, let shape, let offsets else {
            let missing = typeName == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
            throw malformed("dtype, shape and data_offsets", "no \(missing)")
        }
        guard let type = TensorType(rawValue: typeName) else { throw malformed("a dtype of the format", typeName.quoted) }
        guard offsets.count == 2 else { throw malformed("two data_offsets", "\(offsets.count)") }
        guard offsets[0] <= offsets[1] else { throw malformed("data_offsets in order", "\(offsets[0]) before \(offsets[1])") }
        guard offsets[1] <= dataSize else {
            throw ModelFileError(
                .truncated, path: path, what: what, expected: "data_offsets within the \(dataSize) bytes of data", found: "\(offsets[1])")
        }
        guard let byteCount = type.byteCount(shape: shape) else {
            throw malformed("a shape that fills whole bytes and whose bits an Int can count", "\(typeName) \(text(of: shape))")
        }
        guard byteCount == offsets[1] - offsets[0] else {
            throw malformed("\(byteCount) bytes for \(typeName) \(text(of: shape))", "\(offsets[1] - offsets[0])")
        }
        return TensorDescription(name: name, type: type, shape: shape, byteCount: byteCount, offset: offsets[0])
    }

    /// A shape for a message, at most eight sizes of it.
    private static func text(of shape: [Int]) -> String {
        "[\(shape.prefix(8).map(String.init).joined(separator: ", "))\(shape.count > 8 ? ", …" : "")]"
    }

    /// Every byte of the data section belongs to exactly one tensor.
    private static func requireCoverage(
        of dataSize: Int, by tensors: [TensorDescription], path: String
    ) throws(ModelFileError) {
        var end = 0
        for tensor in tensors {
            guard tensor.offset == end else {
                throw ModelFileError(
                    .malformed, path: path, what: "tensor \(tensor.name.quoted)",
                    expected: "data that begins at byte \(end), where the one before it ends",
                    found: "byte \(tensor.offset) (\(tensor.offset < end ? "an overlap" : "a hole"))")
            }
            end += tensor.byteCount
        }
        guard end == dataSize else {
            throw ModelFileError(
                .malformed, path: path, what: "data section", expected: "\(end) bytes, as many as the tensors have", found: "\(dataSize)")
        }
    }
}
