/// A named property of a layer: what is not a tensor.
public enum ArchiveValue: Sendable, Hashable {
    case flag(Bool)
    case integer(Int)
    /// A float is kept exactly.
    case number(Double)
    case text(String)
    case integers([Int])
}

extension ArchiveValue: Codable {
    // As the value alone: a flag, a number, a text or a list.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let integer = try? container.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else {
            self = .integers(try container.decode([Int].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .flag(let flag): try container.encode(flag)
        case .integer(let integer): try container.encode(integer)
        case .number(let number): try container.encode(number)
        case .text(let text): try container.encode(text)
        case .integers(let integers): try container.encode(integers)
        }
    }
}
