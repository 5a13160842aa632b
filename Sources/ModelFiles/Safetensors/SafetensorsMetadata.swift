internal import CompactNumerics

/// The free text of a file's `__metadata__`: names with texts. Names are the same if their UTF-8 is, as the format has it.
public struct SafetensorsMetadata: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    /// Where each name's text is in `texts`.
    private var positions: [UTF8Name: Int] = [:]
    private var texts: [String] = []

    public init(_ dictionary: [String: String] = [:]) {
        for (name, text) in dictionary where addName(name) { add(text) }
    }

    /// - Precondition: names occur once.
    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, text) in elements {
            trapUnless(addName(name), "SafetensorsMetadata: expected each name once, found \(name.quoted) again")
            add(text)
        }
    }

    /// The text of that name; nil if there is none, and to remove it.
    public subscript(name: String) -> String? {
        get { positions[UTF8Name(name)].map { texts[$0] } }
        set {
            let position = positions[UTF8Name(name)]
            switch (position, newValue) {
            case (let position?, let text?): texts[position] = text
            case (nil, let text?):
                if addName(name) { add(text) }
            case (let position?, nil):
                texts.remove(at: position)
                positions[UTF8Name(name)] = nil
                positions = positions.mapValues { $0 > position ? $0 - 1 : $0 }
            case (nil, nil): break
            }
        }
    }

    /// Whether there is this text under that name, byte for byte. For the text of a file from elsewhere, where `==` of strings can take time that
    /// is quadratic in its length.
    public func holds(_ text: String, named name: String) -> Bool {
        self[name]?.hasBytes(of: text) ?? false
    }

    public var isEmpty: Bool { texts.isEmpty }
    public var count: Int { texts.count }

    /// Names in the order of their UTF-8.
    public var names: [String] { positions.keys.sorted().map(\.text) }

    /// As a dictionary of Swift, for which names that differ in the spelling of a character are one (the last in the order of `names` stays).
    public var dictionary: [String: String] {
        Dictionary(names.map { ($0, self[$0] ?? "") }) { $1 }
    }

    public static func == (left: SafetensorsMetadata, right: SafetensorsMetadata) -> Bool {
        left.count == right.count && left.positions.keys.allSatisfy { right.holds(left[$0.text] ?? "", named: $0.text) }
    }

    /// Takes a name whose text comes next. False if it is there already.
    internal mutating func addName(_ name: String) -> Bool {
        positions.updateValue(texts.count, forKey: UTF8Name(name)) == nil
    }

    internal mutating func add(_ text: String) { texts.append(text) }
}
