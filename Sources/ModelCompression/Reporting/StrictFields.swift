internal import CompactNumerics

/// Members of a JSON object by name, of which none may be unknown.
internal struct StrictFields {
    struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    private let container: KeyedDecodingContainer<Key>
    private let what: String

    /// - Throws: `CompressionError.outOfRange` for a member that is none of `names`.
    init(_ decoder: any Decoder, of what: String, names: [String]) throws {
        container = try decoder.container(keyedBy: Key.self)
        self.what = what
        if let unknown = container.allKeys.map(\.stringValue).sorted().first(where: { !names.contains($0) }) {
            throw CompressionError.outOfRange(what: "key of \(what)", allowed: names.joined(separator: ", "), found: unknown)
        }
    }

    var names: [String] { container.allKeys.map(\.stringValue) }

    /// The member `name`, or `other` where it is absent.
    func value<Value: Decodable>(_ name: String, or other: Value) throws -> Value {
        try optional(name) ?? other
    }

    func required<Value: Decodable>(_ name: String, _ type: Value.Type = Value.self) throws -> Value {
        guard let value: Value = try optional(name) else {
            throw CompressionError.outOfRange(what: "key \(name) of \(what)", allowed: "a value", found: "none")
        }
        return value
    }

    func optional<Value: Decodable>(_ name: String) throws -> Value? {
        do {
            return try container.decodeIfPresent(Value.self, forKey: Key(name))
        } catch let error as CompressionError {
            throw error
        } catch let error as NumericsError {
            throw CompressionError.numerics(error)
        } catch {
            throw CompressionError.outOfRange(what: "key \(name) of \(what)", allowed: "a value of type \(Value.self)", found: "another")
        }
    }
}
