internal import CompactNumerics

/// The free text of a file's `__metadata__`: names with texts. Names are the same if their UTF-8 is, as the format has it.
public struct SafetensorsMetadata: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    private var texts: [UTF8Name: String]

    public init() { texts = [:] }

    public init(_ dictionary: [String: String]) {
        self.init()
        for (name, text) in dictionary { self[name] = text }
    }

    /// - Precondition: names occur once.
    public init(dictionaryLiteral elements: (String, String)...) {
        self.init()
        for (name, text) in elements {
            trapUnless(insert(text, named: name), "SafetensorsMetadata: expected each name once, found \(name.quoted) again")
        }
    }

    /// The text of that name; nil if there is none.
    public subscript(name: String) -> String? {
        get { texts[UTF8Name(name)] }
        set { texts[UTF8Name(name)] = newValue }
    }

    /// Whether there is this text under that name, byte for byte. For the text of a file from elsewhere, where `==` of strings can take time that
    /// is quadratic in its length.
    public func holds(_ text: String, named name: String) -> Bool {
        self[name]?.hasBytes(of: text) ?? false
    }

    public var isEmpty: Bool { texts.isEmpty }
    public var count: Int { texts.count }

    /// Names in the order of their UTF-8.
    public var names: [String] { texts.keys.sorted().map(\.text) }

    /// As a dictionary of Swift, for which names that differ in the spelling of a character are one (the last in the order of `names` stays).
    public var dictionary: [String: String] {
        Dictionary(names.map { ($0, self[$0] ?? "") }) { $1 }
    }

    public static func == (left: SafetensorsMetadata, right: SafetensorsMetadata) -> Bool {
        left.count == right.count && left.texts.allSatisfy { right.texts[$0.key]?.hasBytes(of: $0.value) ?? false }
    }

    /// Whether the name was free; if not, nothing changes.
    internal mutating func insert(_ text: String, named name: String) -> Bool {
        let key = UTF8Name(name)
        guard texts[key] == nil else { return false }
        texts[key] = text
        return true
    }
}
