internal import CompactNumerics

/// Members of a JSON object by name. None may be unknown, and none may be there without being read: an option that has no effect beside the
/// others is an error, not ignored.
internal final class StrictFields {
    struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// In `userInfo` of a decoder: other members and those without effect are passed over, as states of
    /// runs from before schemas had numbers need it.
    static let ignoresUnread = CodingUserInfoKey(rawValue: "ignoresUnread")!

    private let container: KeyedDecodingContainer<Key>
    private let what: String
    private let isLenient: Bool
    private var read: Set<String> = []

    /// - Throws: `CompressionError.outOfRange` for a member that is none of `names`.
    init(_ decoder: any Decoder, of what: String, names: [String]) throws {
        container = try decoder.container(keyedBy: Key.self)
        self.what = what
        isLenient = decoder.userInfo[Self.ignoresUnread] as? Bool ?? false
        if !isLenient, let unknown = container.allKeys.map(\.stringValue).sorted().first(where: { !names.contains($0) }) {
            throw CompressionError.outOfRange(
                what: "key of \(what)", allowed: names.isEmpty ? "none" : names.joined(separator: ", "), found: unknown)
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
        read.insert(name)
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

    /// The same for values that have names, which an error lists.
    func optional<Value: RawRepresentable<String> & CaseIterable>(_ name: String) throws -> Value? {
        guard let text: String = try optional(name) else { return nil }
        guard let value = Value(rawValue: text) else {
            throw CompressionError.outOfRange(
                what: "\(name) of \(what)", allowed: Value.allCases.map(\.rawValue).joined(separator: ", "), found: text)
        }
        return value
    }

    func value<Value: RawRepresentable<String> & CaseIterable>(_ name: String, or other: Value) throws -> Value {
        try optional(name) ?? other
    }

    /// The choice that the member `name` names.
    func choice<Value>(_ name: String, or other: String, _ choices: [(name: String, value: Value)]) throws -> Value {
        let found = try value(name, or: other)
        guard let choice = choices.first(where: { $0.name == found }) else {
            throw CompressionError.outOfRange(what: "\(name) of \(what)", allowed: choices.map(\.name).joined(separator: ", "), found: found)
        }
        return choice.value
    }

    /// Called when everything that has an effect was read.
    ///
    /// - Throws: `CompressionError.outOfRange` for a member that was not.
    func requireAllRead() throws {
        guard !isLenient, let unread = names.sorted().first(where: { !read.contains($0) }) else { return }
        throw CompressionError.outOfRange(
            what: "key \(unread) of \(what)", allowed: "none beside these options, with which it has no effect", found: "one")
    }
}

extension KeyedEncodingContainer<StrictFields.Key> {
    mutating func put(_ name: String, _ value: some Encodable) throws { try encode(value, forKey: StrictFields.Key(name)) }
}
