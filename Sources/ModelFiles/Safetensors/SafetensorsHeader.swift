/// The header of a safetensors file: 8 bytes with its length N, little-endian, then N bytes of JSON
/// (github.com/huggingface/safetensors, section "Format" of its README).
internal struct SafetensorsHeader {
    /// The name that stands for metadata rather than for a tensor.
    static let metadataName = "__metadata__"
    /// The limit of the format's reference reader.
    static let largestLength = 100_000_000

    /// In the order of their bytes in the file.
    private(set) var tensors: [TensorDescription] = []
    /// Where each name is in `tensors`.
    private(set) var positions: [UTF8Name: Int] = [:]
    private(set) var metadata = SafetensorsMetadata()
    /// Where the data section begins in the file.
    let dataStart: Int
    private let path: String
    private let dataSize: Int

    init(of file: InputFile) throws(ModelFileError) {
        let length = try Self.length(in: file)
        let json = try file.bytes(at: 8, count: length)
        guard json.first == UInt8(ascii: "{") else {
            try Self.refuseOtherFormats(file)
            throw ModelFileError(
                .malformed, path: file.path, what: "first byte of the header", expected: "\"{\"",
                found: json.first.map { "byte \($0)" } ?? "an empty header")
        }
        path = file.path
        dataStart = 8 + length
        dataSize = file.size - dataStart
        try parse(json)
        sortByOffset()
        try requireCoverage()
    }

    private static func length(in file: InputFile) throws(ModelFileError) -> Int {
        guard file.size >= 8 else {
            try refuseOtherFormats(file)
            throw ModelFileError(
                .truncated, path: file.path, what: "size of a safetensors file", expected: "at least 8 bytes", found: "\(file.size)")
        }
        let length = try file.bytes(at: 0, count: 8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if length > UInt64(min(largestLength, file.size - 8)) { try refuseOtherFormats(file) }
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

    /// Throws if the first bytes of a file that is no safetensors file are those of something known.
    private static func refuseOtherFormats(_ file: InputFile) throws(ModelFileError) {
        let first = try file.bytes(at: 0, count: min(file.size, FileSignature.byteCount))
        guard let format = FileSignature.format(of: first) else { return }
        throw ModelFileError(
            .malformed, path: file.path, what: "not a safetensors file", expected: "8 bytes with the length of a header, then JSON", found: format)
    }

    private mutating func parse(_ json: [UInt8]) throws(ModelFileError) {
        var scanner = HeaderScanner(json, path: path)
        var hasMetadata = false
        var tensors: [TensorDescription] = [], positions: [UTF8Name: Int] = [:], metadata = SafetensorsMetadata()
        // No member of a tensor is shorter than this, so the table never grows.
        positions.reserveCapacity(json.count / #""":{"dtype":"U8","shape":[],"data_offsets":[0,0]},"#.utf8.count)
        try scanner.forEachMember(
            of: "the header",
            isNew: { name in
                if name.hasBytes(of: Self.metadataName) {
                    defer { hasMetadata = true }
                    return !hasMetadata
                }
                return positions.updateValue(tensors.count, forKey: UTF8Name(name)) == nil
            }
        ) { (scanner, name) throws(ModelFileError) in
            if name.hasBytes(of: Self.metadataName) {
                metadata = try Self.metadata(&scanner)
            } else {
                tensors.append(try tensor(name, &scanner))
            }
        }
        try scanner.requireEnd()
        (self.tensors, self.positions, self.metadata) = (tensors, positions, metadata)
    }

    /// An object of texts, or null, which the reference's reader takes for none.
    private static func metadata(_ scanner: inout HeaderScanner) throws(ModelFileError) -> SafetensorsMetadata {
        var metadata = SafetensorsMetadata()
        if scanner.passesNull() { return metadata }
        try scanner.forEachMember(of: metadataName, isNew: { metadata.addName($0) }) { (scanner, name) throws(ModelFileError) in
            metadata.add(try scanner.string("the value of \(name.quoted)"))
        }
        return metadata
    }

    private func tensor(_ name: String, _ scanner: inout HeaderScanner) throws(ModelFileError) -> TensorDescription {
        func malformed(_ expected: String, _ found: String) -> ModelFileError {
            ModelFileError(.malformed, path: path, what: "tensor \(name.quoted)", expected: expected, found: found)
        }
        var members = TensorMembers()
        try scanner.forEachMember(of: "tensor \(name.quoted)", isNew: { members.isNew($0) }) { (scanner, key) throws(ModelFileError) in
            switch members.current {
            case .type: members.typeName = try scanner.string("dtype of tensor \(name.quoted)")
            case .shape:
                try scanner.forEachNatural("shape of tensor \(name.quoted)") { members.shape.append($0) }
            case .offsets:
                try scanner.forEachNatural("data_offsets of tensor \(name.quoted)") { members.addOffset($0) }
            case nil: throw malformed("dtype, shape and data_offsets", key.quoted)
            }
        }
        if let missing = members.missing { throw malformed("dtype, shape and data_offsets", "no \(missing)") }
        guard let type = TensorType(bytesOf: members.typeName) else { throw malformed("a dtype of the format", members.typeName.quoted) }
        guard members.offsetCount == 2 else { throw malformed("two data_offsets", "\(members.offsetCount)") }
        let (begin, end) = members.offsets
        guard begin <= end else { throw malformed("data_offsets in order", "\(begin) before \(end)") }
        guard end <= dataSize else {
            throw ModelFileError(
                .truncated, path: path, what: "tensor \(name.quoted)", expected: "data_offsets within the \(dataSize) bytes of data", found: "\(end)")
        }
        guard let byteCount = type.byteCount(shape: members.shape) else {
            throw malformed("a shape that fills whole bytes and whose bits an Int can count", "\(type.rawValue) \(text(of: members.shape))")
        }
        guard byteCount == end - begin else {
            throw malformed("\(byteCount) bytes for \(type.rawValue) \(text(of: members.shape))", "\(end - begin)")
        }
        return TensorDescription(name: name, type: type, shape: members.shape, byteCount: byteCount, offset: begin)
    }

    /// A shape for a message, at most eight sizes of it.
    private func text(of shape: [Int]) -> String {
        "[\(shape.prefix(8).map(String.init).joined(separator: ", "))\(shape.count > 8 ? ", …" : "")]"
    }

    /// Tensors without bytes come before the one that begins at the same place; those of one place and size are in the order of their names.
    private mutating func sortByOffset() {
        func precedes(_ left: TensorDescription, _ right: TensorDescription) -> Bool {
            if left.offset != right.offset { return left.offset < right.offset }
            if left.byteCount != right.byteCount { return left.byteCount < right.byteCount }
            return left.name.precedesInBytes(right.name)
        }
        let isSorted = zip(tensors, tensors.dropFirst()).allSatisfy { !precedes($1, $0) }
        if isSorted { return }
        let order = tensors.indices.sorted { precedes(tensors[$0], tensors[$1]) }
        var ranks = [Int](repeating: 0, count: order.count)
        for (rank, position) in order.enumerated() { ranks[position] = rank }
        positions = positions.mapValues { ranks[$0] }
        tensors = order.map { tensors[$0] }
    }

    /// Every byte of the data section belongs to exactly one tensor.
    private func requireCoverage() throws(ModelFileError) {
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

/// What stands in the object of one tensor, as far as it has been read.
private struct TensorMembers {
    enum Key: String, CaseIterable {
        case type = "dtype"
        case shape = "shape"
        case offsets = "data_offsets"

        init?(_ name: String) {
            guard let key = Self.allCases.first(where: { name.hasBytes(of: $0.rawValue) }) else { return nil }
            self = key
        }

        var bit: UInt8 {
            switch self {
            case .type: 1
            case .shape: 2
            case .offsets: 4
            }
        }
    }

    /// The member that is being read.
    private(set) var current: Key?
    var typeName = ""
    var shape: [Int] = []
    /// The first two.
    private(set) var offsets = (0, 0)
    private(set) var offsetCount = 0
    private var seen: UInt8 = 0

    /// Notes a name, and says whether it is the first of its kind. Others than the three are for the caller to refuse.
    mutating func isNew(_ name: String) -> Bool {
        current = Key(name)
        guard let bit = current?.bit else { return true }
        defer { seen |= bit }
        return seen & bit == 0
    }

    mutating func addOffset(_ value: Int) {
        if offsetCount == 0 { offsets.0 = value }
        if offsetCount == 1 { offsets.1 = value }
        offsetCount += 1
    }

    /// The name of a member that has not been there.
    var missing: String? {
        Key.allCases.first { seen & $0.bit == 0 }?.rawValue
    }
}
