public import Foundation

/// What is wrong with a file. `description` is one line: the file, what was looked at, what was expected, what was found.
public struct ModelFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of trouble it is, for a program that treats some of it differently.
    public enum Kind: Sendable, Hashable {
        /// The file is absent, cannot be opened or read, or is no regular file.
        case unreadable
        /// The file could not be written; nothing was left behind.
        case unwritable
        /// Another process uses it.
        case inUse
        /// The bytes break a rule of the format.
        case malformed
        /// The file is shorter than it says it is.
        case truncated
        /// The format allows it, this reader does not read it.
        case unsupported
        /// The file is sound, but does not hold what was asked for.
        case mismatch
    }

    public let kind: Kind
    /// Path of the file as the caller gave it.
    public let path: String
    /// What was looked at: "header length", "tensor \"embeddings.weight\"".
    public let what: String
    public let expected: String
    public let found: String

    public init(_ kind: Kind, path: String, what: String, expected: String, found: String) {
        self.kind = kind
        self.path = path
        self.what = what
        self.expected = expected
        self.found = found
    }

    public var description: String {
        "\(path): \(what): expected \(expected), found \(found)"
    }
}

extension ModelFileError: LocalizedError {
    /// The same line as `description`: what an alert or `localizedDescription` shows.
    public var errorDescription: String? { description }
}

extension String {
    /// Text from a file, quoted for a message: control characters escaped, so it stays on one line, and at most 80 characters.
    package var quoted: String {
        var text = ""
        for scalar in unicodeScalars.prefix(80) {
            // Cc, Zl and Zp would break the line; Cf can reorder it on a terminal.
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator, .format: text += "\\u{\(String(scalar.value, radix: 16))}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return "\"\(text)\(unicodeScalars.dropFirst(80).isEmpty ? "" : "…")\""
    }
}
