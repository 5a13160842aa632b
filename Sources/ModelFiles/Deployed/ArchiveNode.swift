internal import CompactNumerics

/// A layer in the file's metadata, but for its numbers: its kind, its fields and the layers that it is made of, as one JSON object.
///
///     {"inputs":9,"kind":"quantized","format":"w8a8","outputs":4,"relu":true}
internal struct ArchiveNode {
    /// Absent only while a layer is being put into it.
    var kind = ""
    /// In its network, where that is not its place.
    var name: String?
    var fields: [String: ArchiveValue] = [:]
    var layers: [String: ArchiveNode] = [:]

    private static let deepest = 8
}

extension ArchiveNode: Codable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        guard decoder.codingPath.count <= Self.deepest else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "layers within layers, too deep"))
        }
        let container = try decoder.container(keyedBy: Key.self)
        for key in container.allKeys {
            switch key.stringValue {
            case "kind": kind = try container.decode(String.self, forKey: key)
            case "name": name = try container.decode(String.self, forKey: key)
            default:
                if let value = try? container.decode(ArchiveValue.self, forKey: key) {
                    fields[key.stringValue] = value
                } else {
                    layers[key.stringValue] = try container.decode(ArchiveNode.self, forKey: key)
                }
            }
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(kind, forKey: Key(stringValue: "kind"))
        if let name { try container.encode(name, forKey: Key(stringValue: "name")) }
        for (key, value) in fields { try container.encode(value, forKey: Key(stringValue: key)) }
        for (key, layer) in layers { try container.encode(layer, forKey: Key(stringValue: key)) }
    }
}
