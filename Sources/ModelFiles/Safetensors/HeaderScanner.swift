/// Reads the JSON of a safetensors header from left to right, in time linear in its bytes.
///
/// Foundation's JSON parsers do not serve here: they merge members of the same name without a word, which the format forbids
/// and which lets two readers see two different files; they take 1.0 and 1e3 for integers; and they build a tree that is many
/// times the size of a hostile header. The header's grammar has a fixed depth and no values but strings and natural
/// numbers, so this scanner needs no recursion either. What is read is described by closures, which only an error calls.
internal struct HeaderScanner {
    private let bytes: [UInt8]
    private let path: String
    private var position = 0

    init(_ bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    /// Calls `member` for each name of an object, with the scanner in front of the value. `isNew` says whether a name occurs for the first time.
    mutating func forEachMember(
        of what: @autoclosure () -> String, isNew: (String) -> Bool, _ member: (inout HeaderScanner, String) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        try skip(UInt8(ascii: "{"), "\"{\" of \(what())")
        if next() == UInt8(ascii: "}") {
            position += 1
            return
        }
        while true {
            let start = position
            let name = try string("a name in \(what())")
            guard isNew(name) else {
                throw error(at: start, expected: "each name once in \(what())", found: "\(name.quoted) again")
            }
            try skip(UInt8(ascii: ":"), "\":\" after \(name.quoted)")
            try member(&self, name)
            if try endsList(with: UInt8(ascii: "}"), of: what()) { return }
        }
    }

    /// Calls `body` for each number of an array of natural numbers.
    mutating func forEachNatural(_ what: @autoclosure () -> String, _ body: (Int) -> Void) throws(ModelFileError) {
        try skip(UInt8(ascii: "["), "\"[\" of \(what())")
        if next() == UInt8(ascii: "]") {
            position += 1
            return
        }
        while true {
            body(try natural("an integer of at least 0 in \(what())"))
            if try endsList(with: UInt8(ascii: "]"), of: what()) { return }
        }
    }

    /// Passes `null` and says whether it stood there.
    mutating func passesNull() -> Bool {
        _ = next()
        guard bytes[position...].starts(with: "null".utf8) else { return false }
        position += 4
        return true
    }

    /// Nothing but white space may follow.
    mutating func requireEnd() throws(ModelFileError) {
        if next() != nil { throw error(at: position, expected: "the end of the header", found: foundHere) }
    }

    private mutating func natural(_ what: @autoclosure () -> String) throws(ModelFileError) -> Int {
        let first = next()
        let start = position
        var value = 0
        while position < bytes.count, case let digit = Int(bytes[position]) - 0x30, (0...9).contains(digit) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(digit)
            if overflow || carry { throw error(at: start, expected: "an integer of at most \(Int.max)", found: "a larger one") }
            value = sum
            position += 1
        }
        guard position > start else { throw error(at: start, expected: what(), found: foundHere) }
        if first == UInt8(ascii: "0") && position > start + 1 {
            throw error(at: start, expected: what(), found: "a leading zero")
        }
        return value
    }

    // MARK: - Strings

    mutating func string(_ what: @autoclosure () -> String) throws(ModelFileError) -> String {
        try skip(UInt8(ascii: "\""), "\(what()) (a string)")
        let start = position
        // Bytes since the last escape, copied only where there is one.
        var unescaped: [UInt8] = []
        var pieceStart = position
        var highBits: UInt8 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                let piece = pieceStart..<position - 1, isASCII = highBits < 0x80
                let text =
                    unescaped.isEmpty
                    ? Self.text(bytes, piece, isASCII) : Self.text(unescaped + bytes[piece], nil, false)
                guard let text else { throw error(at: start, expected: "\(what()) in UTF-8", found: "other bytes") }
                return text
            case UInt8(ascii: "\\"):
                unescaped.append(contentsOf: bytes[pieceStart..<position - 1])
                unescaped.append(contentsOf: String(try escape()).utf8)
                pieceStart = position
            case 0..<0x20:
                throw error(at: position - 1, expected: "\(what()) without control characters", found: "byte \(byte)")
            default: highBits |= byte
            }
        }
        throw error(at: start, expected: "\(what()) that ends", found: "the end of the header")
    }

    /// The text of UTF-8 bytes; nil for other bytes.
    private static func text(_ bytes: [UInt8], _ range: Range<Int>?, _ isASCII: Bool) -> String? {
        bytes.withUnsafeBufferPointer { buffer in
            let text = UnsafeBufferPointer(rebasing: buffer[range ?? 0..<buffer.count])
            // Without bytes that could be wrong this is several times as fast.
            return isASCII ? String(decoding: text, as: UTF8.self) : String(validating: text, as: UTF8.self)
        }
    }

    /// What stands behind a backslash.
    private mutating func escape() throws(ModelFileError) -> Character {
        let start = position
        guard position < bytes.count else { throw error(at: start, expected: "an escape", found: foundHere) }
        position += 1
        switch bytes[start] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Character(Unicode.Scalar(bytes[start]))
        case UInt8(ascii: "b"): return "\u{08}"
        case UInt8(ascii: "f"): return "\u{0C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw error(at: start, expected: "an escape of JSON", found: "byte \(bytes[start])")
        }
        var value = try hexadecimal()
        if (0xD800..<0xDC00).contains(value), bytes[position...].starts(with: "\\u".utf8) {
            position += 2
            let low = try hexadecimal()
            // An invalid second half makes a value that is no scalar, which fails below.
            value = (0xDC00..<0xE000).contains(low) ? 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00) : 0xD800
        }
        guard let scalar = Unicode.Scalar(value) else {
            throw error(at: start, expected: "a pair of surrogates", found: "half of one")
        }
        return Character(scalar)
    }

    private mutating func hexadecimal() throws(ModelFileError) -> UInt32 {
        let digits = bytes[position...].prefix(4)
        var value: UInt32 = 0
        for digit in digits {
            guard let nibble = Character(Unicode.Scalar(digit)).hexDigitValue else { break }
            value = value << 4 | UInt32(nibble)
            position += 1
        }
        guard digits.count == 4, position == digits.endIndex else {
            throw error(at: position, expected: "four hexadecimal digits", found: foundHere)
        }
        return value
    }

    // MARK: - Single characters

    /// The next byte that is no white space, without passing it.
    private mutating func next() -> UInt8? {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            case let byte: return byte
            }
        }
        return nil
    }

    private mutating func skip(_ byte: UInt8, _ expected: @autoclosure () -> String) throws(ModelFileError) {
        guard next() == byte else { throw error(at: position, expected: expected(), found: foundHere) }
        position += 1
    }

    /// Passes a comma (false) or `close` (true).
    private mutating func endsList(with close: UInt8, of what: @autoclosure () -> String) throws(ModelFileError) -> Bool {
        let byte = next()
        guard byte == close || byte == UInt8(ascii: ",") else {
            throw error(
                at: position, expected: "\",\" or \"\(Character(Unicode.Scalar(close)))\" in \(what())", found: foundHere)
        }
        position += 1
        return byte == close
    }

    private var foundHere: String {
        guard position < bytes.count else { return "the end of the header" }
        let byte = bytes[position]
        return (0x21..<0x7F).contains(byte) ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte \(byte)"
    }

    private func error(at position: Int, expected: String, found: String) -> ModelFileError {
        ModelFileError(.malformed, path: path, what: "byte \(position) of the header", expected: expected, found: found)
    }
}
