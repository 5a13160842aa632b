/// The JSON of a header, member by member. Foundation's encoder takes a dictionary, in which two spellings of a character are one name.
internal struct HeaderText {
    private var bytes: [UInt8] = []

    mutating func add(_ metadata: SafetensorsMetadata) {
        beginMember(SafetensorsHeader.metadataName)
        for (index, name) in metadata.names.enumerated() {
            append(index == 0 ? "{" : ",")
            append(quoting: name)
            append(":")
            append(quoting: metadata[name] ?? "")
        }
        append("}")
    }

    /// `data` are its places in the data section.
    mutating func add(_ tensor: TensorContent, data: Range<Int>) {
        beginMember(tensor.name)
        let shape = tensor.shape.map(String.init).joined(separator: ",")
        append("{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(data.lowerBound),\(data.upperBound)]}")
    }

    /// The whole header. Spaces bring the data section to a multiple of 8 bytes, as the format's own writer does.
    consuming func finish() -> [UInt8] {
        if bytes.isEmpty { append("{") }
        append("}")
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - bytes.count % 8) % 8))
        return bytes
    }

    private mutating func beginMember(_ name: String) {
        append(bytes.isEmpty ? "{" : ",")
        append(quoting: name)
        append(":")
    }

    private mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    /// A string of JSON (RFC 8259, section 7): quotation marks, backslashes and control characters are escaped.
    private mutating func append(quoting text: String) {
        append("\"")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                append("\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))")
            default: bytes.append(byte)
            }
        }
        append("\"")
    }
}
