public import CompactNumerics

/// A table from a file of comma-separated values (RFC 4180), UTF-8: records of as many fields each. A field in double quotes may hold
/// separators, line breaks, and quotes, written twice. Lines end in LF or CRLF; a byte-order mark and empty lines are skipped.
///
/// It holds the file and 8 bytes for each field.
public struct CSVFile: Sendable {
    /// What stands between two fields.
    public enum Separator: UInt8, Sendable, Hashable, CaseIterable {
        case comma = 0x2C, semicolon = 0x3B, tab = 0x09
    }

    /// A column of a table.
    public enum Column: Sendable, Hashable {
        case named(String)
        /// Counted from 1, as in error messages.
        case place(Int)
        case last
    }

    public let path: String
    /// The names of the columns, which the first record holds; nil where that is data.
    public private(set) var header: [String]?
    /// Fields of each record.
    public private(set) var columns = 0
    /// Records, without the header.
    public var rows: Int { starts.count / columns - (header == nil ? 0 : 1) }
    private let separator: UInt8
    private let bytes: [UInt8]
    // Where each field begins, the header's included.
    private var starts: [Int] = []

    /// Reads a table.
    ///
    /// - Throws: `ModelFileError` if the file cannot be read, breaks a rule of the format (with line and column), or holds no record or one of
    ///   more than 2²⁰ fields; also for a header of numbers that are no column numbers, which must be data.
    public init(path: String, separator: Separator = .comma, hasHeader: Bool = true) throws(ModelFileError) {
        let file = try InputFile(path: path)
        (self.path, self.separator) = (path, separator.rawValue)
        bytes = try file.bytes(at: 0, count: file.size)
        if let place = bytes.firstIndex(of: 0) {
            throw ModelFileError(
                .malformed, path: path, what: "table", expected: "text in UTF-8", found: "a zero byte at \(place) (UTF-16, or no text?)")
        }
        try scan()
        guard !starts.isEmpty else { throw ModelFileError(.malformed, path: path, what: "table", expected: "at least 1 record", found: "none") }
        guard hasHeader else { return }
        var names: [String] = []
        for start in starts[..<columns] { names.append(try text(at: start)) }
        if names.allSatisfy({ Float($0) != nil }), names.contains(where: { Int($0) == nil }) {
            throw failure(at: starts[0], expected: "a header, the names of columns", found: "numbers: a table without a header?")
        }
        header = names
    }

    // Line breaks, also those that end records, are skipped in front of a record.
    private mutating func scan() throws(ModelFileError) {
        // An upper bound, so that the list never moves.
        starts.reserveCapacity(bytes.reduce(1) { $0 + ($1 == separator || $1 == 0x0A ? 1 : 0) })
        var place = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while place < bytes.count {
            if let next = lineBreak(at: place) {
                place = next
                continue
            }
            let first = starts.count
            starts.append(place)
            place = try end(ofFieldAt: place)
            while place < bytes.count, bytes[place] == separator {
                starts.append(place + 1)
                place = try end(ofFieldAt: place + 1)
            }
            if columns == 0 { columns = starts.count }
            let count = starts.count - first
            guard count == columns, count <= 1 << 20 else {
                let expected = count == columns ? "at most \(1 << 20) fields" : "\(columns) fields, as in the first record"
                throw ModelFileError(.malformed, path: path, what: "line \(line(of: starts[first]))", expected: expected, found: "\(count)")
            }
        }
    }

    /// The place behind the line break at `place`, nil where there is none.
    private func lineBreak(at place: Int) -> Int? {
        if place < bytes.count, bytes[place] == UInt8(ascii: "\n") { return place + 1 }
        let isPair = place + 1 < bytes.count && bytes[place] == UInt8(ascii: "\r") && bytes[place + 1] == UInt8(ascii: "\n")
        return isPair ? place + 2 : nil
    }

    /// The contents of the field that begins at `start`, without its quotes.
    private func contents(at start: Int) -> Range<Int> {
        let quote = UInt8(ascii: "\"")
        var place = start
        guard start < bytes.count, bytes[start] == quote else {
            while place < bytes.count, bytes[place] != separator, bytes[place] != UInt8(ascii: "\n"), bytes[place] != UInt8(ascii: "\r") {
                place += 1
            }
            return start..<place
        }
        place += 1
        while place < bytes.count {
            if bytes[place] == quote, place + 1 == bytes.count || bytes[place + 1] != quote { break }
            place += bytes[place] == quote ? 2 : 1
        }
        return start + 1..<place
    }

    /// Where the field that begins at `start` ends: at a separator, a line break, or the end of the file.
    private func end(ofFieldAt start: Int) throws(ModelFileError) -> Int {
        let contents = contents(at: start), isQuoted = contents.lowerBound > start
        if isQuoted, contents.upperBound == bytes.count { throw failure(at: start, expected: "a second quote", found: "the end of the file") }
        if !isQuoted, bytes[contents].contains(UInt8(ascii: "\"")) {
            throw failure(at: start, expected: "quotes around the whole field, or none", found: quoted(contents))
        }
        let end = contents.upperBound + (isQuoted ? 1 : 0)
        guard end < bytes.count, bytes[end] != separator, lineBreak(at: end) == nil else { return end }
        throw failure(at: start, expected: "a separator or line break behind the field", found: quoted(end..<end + 1))
    }

    private func quoted(_ range: Range<Int>) -> String { String(decoding: bytes[range].prefix(400), as: UTF8.self).quoted }

    private func line(of place: Int) -> Int { bytes[..<place].reduce(1) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) } }

    private func failure(at start: Int, expected: String, found: String) -> ModelFileError {
        let index = starts.lastIndex(of: start) ?? 0, column = columns == 0 ? index : index % columns
        let name = header.map { ", column \(column + 1) (\($0[column].quoted))" } ?? ", column \(column + 1)"
        return ModelFileError(.malformed, path: path, what: "line \(line(of: start))\(name)", expected: expected, found: found)
    }

    private func start(row: Int, column: Int) -> Int {
        trapUnless(
            (0..<rows).contains(row) && (0..<columns).contains(column),
            "field of a table: expected one of \(rows)×\(columns), found [\(row), \(column)]")
        return starts[(row + (header == nil ? 0 : 1)) * columns + column]
    }

    /// An error about the field at [row, column], with its line and column.
    package func failure(row: Int, column: Int, expected: String) -> ModelFileError {
        let start = start(row: row, column: column)
        return failure(at: start, expected: expected, found: quoted(contents(at: start)))
    }

    /// The text of the field at [row, column], spaces included.
    ///
    /// - Throws: `ModelFileError` unless it is UTF-8.
    /// - Precondition: there is such a field.
    public func text(row: Int, column: Int) throws(ModelFileError) -> String { try text(at: start(row: row, column: column)) }

    private func text(at start: Int) throws(ModelFileError) -> String {
        let range = contents(at: start)
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw failure(at: start, expected: "text in UTF-8", found: quoted(range))
        }
        return range.lowerBound > start ? text.replacing("\"\"", with: "\"") : text
    }

    /// The index of a column, from 0.
    ///
    /// - Throws: `ModelFileError` of kind `mismatch` unless there is exactly one of this name, or one at this place.
    public func index(of column: Column) throws(ModelFileError) -> Int {
        let names = header ?? []
        let (what, found) =
            switch column {
            case .last: ("last", [columns - 1])
            case .place(let place): ("\(place)", (1...columns).contains(place) ? [place - 1] : [])
            case .named(let name): (name.quoted, names.indices.filter { names[$0] == name })
            }
        if found.count == 1 { return found[0] }
        let expected =
            header == nil ? "a place of 1…\(columns) (there is no header)" : "one of \(names.prefix(20).map(\.quoted).joined(separator: ", "))"
        throw ModelFileError(.mismatch, path: path, what: "column \(what)", expected: expected, found: "\(found.count) of them")
    }

    /// The numbers of some columns, by index: [rows, indices]. A number has a decimal point and may have an exponent and spaces around it,
    /// whatever the locale; it is rounded to float32.
    ///
    /// - Throws: `ModelFileError` with line and column for a missing value or anything else that is no finite number.
    public func matrix(columns indices: [Int]) throws(ModelFileError) -> Matrix {
        var matrix = Matrix(rows: rows, columns: indices.count), wrong: (row: Int, column: Int)?
        matrix.withUnsafeMutableBufferPointer { target in
            for row in 0..<rows {
                for (place, column) in indices.enumerated() {
                    guard let number = number(contents(at: start(row: row, column: column))) else { return wrong = (row, column) }
                    target[row * indices.count + place] = number
                }
            }
        }
        if let wrong { throw failure(row: wrong.row, column: wrong.column, expected: "a finite number") }
        return matrix
    }

    // The standard library also reads nan, inf and 0x1p3, and gives infinity for what is too large.
    private func number(_ range: Range<Int>) -> Float? {
        var text = bytes[range]
        while let first = text.first, first == 0x20 || first == 0x09 { text.removeFirst() }
        while let last = text.last, last == 0x20 || last == 0x09 { text.removeLast() }
        guard text.allSatisfy({ $0 &- 0x30 < 10 || $0 == 0x2B || $0 == 0x2D || $0 == 0x2E || $0 | 0x20 == 0x65 }) else { return nil }
        return Float(String(decoding: text, as: UTF8.self)).flatMap { $0.isFinite ? $0 : nil }
    }
}
