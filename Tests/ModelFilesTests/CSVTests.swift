import CompactNumerics
import Foundation
import ModelFiles
import Testing

@Suite struct CSVTests {
    /// The fields of a table without a header.
    private func fields(_ text: String, _ separator: CSVFile.Separator = .comma) throws -> [[String]] {
        var result: [[String]] = []
        try withFile(Array(text.utf8)) { path in
            let file = try CSVFile(path: path, separator: separator, hasHeader: false)
            result = try (0..<file.rows).map { row in try (0..<file.columns).map { try file.text(row: row, column: $0) } }
        }
        return result
    }

    @Test func readsWhatRFC4180Allows() throws {
        #expect(try fields("a,b\r\nc,d\r\n") == [["a", "b"], ["c", "d"]])
        #expect(try fields("a,b\nc,d") == [["a", "b"], ["c", "d"]])
        #expect(try fields("\u{FEFF}a,b\n\n\r\nc,d\n\n") == [["a", "b"], ["c", "d"]])
        #expect(try fields("\"a,b\",\"c \"\"d\"\"\"\n\"e\r\nf\n\",") == [["a,b", "c \"d\""], ["e\r\nf\n", ""]])
        #expect(try fields(",,\n\"\",\"\"\"\",\"\n\"") == [["", "", ""], ["", "\"", "\n"]])
        #expect(try fields("a,b;c\td", .semicolon) == [["a,b", "c\td"]] && fields("a,b;c\td", .tab) == [["a,b;c", "d"]])
        #expect(try fields(" a , ü\n") == [[" a ", " ü"]])
    }

    /// Random fields, written with quotes where needed or at random, come back.
    @Test func whatIsWrittenComesBack() throws {
        let seed = UInt64.random(in: 0...(.max))
        var random = SplitMix64(state: seed)
        let pieces = ["a", "é", ",", ";", "\t", "\"", "\n", "\r\n", "\r", " ", "7", ""]
        for _ in 0..<300 {
            let separator = CSVFile.Separator.allCases.randomElement(using: &random)!
            let columns = Int.random(in: 2...5, using: &random)
            let table = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                (0..<columns).map { _ in
                    (0..<Int.random(in: 0...4, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
                }
            }
            let between = String(UnicodeScalar(separator.rawValue))
            let text = table.map { record in
                record.map { field in
                    let mustQuote = field.utf8.contains { $0 == separator.rawValue || $0 == 0x22 || $0 == 0x0A || $0 == 0x0D }
                    let quoted = "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\""
                    return mustQuote || Bool.random(using: &random) ? quoted : field
                }.joined(separator: between)
            }.joined(separator: Bool.random(using: &random) ? "\n" : "\r\n")
            #expect(try fields(text, separator) == table, "seed \(seed)")
        }
    }

    @Test func columnsAreFoundByNameAndPlace() throws {
        try withFile(Array("x,y,x\n1,2,3\n".utf8)) { path in
            let file = try CSVFile(path: path)
            #expect(file.header == ["x", "y", "x"] && file.rows == 1 && file.columns == 3)
            #expect(try file.index(of: .named("y")) == 1 && file.index(of: .place(3)) == 2 && file.index(of: .last) == 2)
            for column in [CSVFile.Column.named("x"), .named("z"), .place(0), .place(4), .place(.min), .place(.max)] {
                expectGoodMessage(try #require(throws: ModelFileError.self) { try file.index(of: column) }, path: path)
            }
            #expect(try CSVFile(path: path, hasHeader: false).rows == 2)
            #expect(throws: ModelFileError.self) { try CSVFile(path: path, hasHeader: false).index(of: .named("x")) }
        }
        // A header of column numbers is one; measurements are data.
        try withFile(Array("0,1\n2.5,3\n".utf8)) { path in
            let file = try CSVFile(path: path)
            #expect(file.rows == 1)
        }
        try withFile(Array("0.5,1\n2.5,3\n".utf8)) { path in
            let error = try #require(throws: ModelFileError.self) { try CSVFile(path: path) }
            #expect(error.description.contains("without a header"))
        }
    }

    @Test func numbersAreNearestInEveryLocale() throws {
        let texts = [
            "0", "-0", "1", " 2.5\t", "+3", ".5", "5.", "1e-3", "-1.5E+4", "16777217", "16777219", "0.1", "3.4028235e38", "1e-45", "1e-60",
            "123456789012345678901234567890", "\"7\"", "0.000000000000000000001", "33554433",
        ]
        let expected: [Float] = [
            0, -0.0, 1, 2.5, 3, 0.5, 5, 1e-3, -15000, 16_777_216, 16_777_220, 0.1, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 0, 1.2345679e29,
            7, 1e-21, 33_554_432,
        ]
        setlocale(LC_ALL, "de_DE.UTF-8")
        defer { setlocale(LC_ALL, "C") }
        try withFile(Array(texts.map { "x,\($0)\n" }.joined().utf8)) { path in
            let numbers = try CSVFile(path: path, hasHeader: false).matrix(columns: [1, 1])
            #expect(numbers.rows == texts.count && numbers.columns == 2)
            for row in texts.indices {
                #expect(numbers[row, 0].bitPattern == expected[row].bitPattern, "\(texts[row])")
                #expect(numbers[row, 1] == expected[row])
            }
        }
    }

    @Test(arguments: ["", "NA", "?", "nan", "inf", "-Infinity", "0x10", "1e39", "1,5", "1 2", "--1", "e5", ".", "-", "1e", "１", "1_000"])
    func whatIsNoFiniteNumberIsRefusedWithItsPlace(text: String) throws {
        try withFile(Array("a,\"b\nc\",d\n1,2,3\n4,\"\(text)\",6\n".utf8)) { path in
            let file = try CSVFile(path: path)
            let error = try #require(throws: ModelFileError.self) { try file.matrix(columns: [0, 1, 2]) }
            expectGoodMessage(error, path: path)
            // The header takes two lines.
            #expect(error.what == "line 4, column 2 (\"b\\u{a}c\")" && error.found == "\"\(text)\"")
        }
    }

    @Test(arguments: [
        ("", "record"), ("\n\r\n", "record"), ("\u{FEFF}", "record"), ("a,b\nc\n", "line 2"), ("a,b\n\"c\nd\",e\nf,g,h", "line 4"),
        ("a,\"b", "line 1, column 2"),
        ("a,b\nc,\"d\"\"", "line 2, column 2"), ("a,b\nc\"d,e", "line 2, column 1"), ("a,b\nc,\"d\"e", "line 2, column 2"),
        ("a\rb,c", "line 1, column 1"),
        ("a,b\n\"c\"\rd,e", "line 2, column 1"), ("a,\0b", "zero byte"),
    ])
    func brokenTablesAreRefusedWithTheirPlace(text: String, place: String) throws {
        try withFile(Array(text.utf8)) { path in
            let error = try #require(throws: ModelFileError.self) { try CSVFile(path: path, hasHeader: false) }
            expectGoodMessage(error, path: path)
            #expect(error.description.contains(place), "\(error)")
        }
    }

    /// Memory is taken for each column of a header.
    @Test func moreThanAMillionColumnsAreRefused() throws {
        for (commas, isRead) in [(1 << 20, false), ((1 << 20) - 1, true)] {
            try withFile([UInt8](repeating: 0x2C, count: commas)) { path in
                if isRead {
                    let file = try CSVFile(path: path)
                    #expect(file.rows == 0 && file.columns == 1 << 20)
                } else {
                    expectGoodMessage(try #require(throws: ModelFileError.self) { try CSVFile(path: path) }, path: path)
                }
            }
        }
    }

    @Test func textThatIsNotUTF8IsRefused() throws {
        try withFile([0x61, 0x2C, 0xFF, 0x0A]) { path in
            let file = try CSVFile(path: path, hasHeader: false)
            let error = try #require(throws: ModelFileError.self) { try file.text(row: 0, column: 1) }
            expectGoodMessage(error, path: path)
            #expect(error.what == "line 1, column 2")
            #expect(throws: ModelFileError.self) { try CSVFile(path: path) }
            #expect(throws: ModelFileError.self) { try file.matrix(columns: [1]) }
        }
        #expect(throws: ModelFileError.self) { try CSVFile(path: "/no/such/file") }
        #expect(throws: ModelFileError.self) { try CSVFile(path: "/dev/zero") }
    }

    /// Random bytes of the format's own alphabet, and mutations: an error or a table, never a crash.
    @Test func hostileTablesNeverCrash() throws {
        let seed = UInt64.random(in: 0...(.max))
        var random = SplitMix64(state: seed)
        let alphabet: [UInt8] = Array("ab1.,;\"\"\n\r\t ".utf8) + [0xFF, 0xC3]
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            try withFile(bytes) { path in
                do throws(ModelFileError) {
                    let file = try CSVFile(path: path, hasHeader: Bool.random(using: &random))
                    for row in 0..<file.rows { for column in 0..<file.columns { _ = try file.text(row: row, column: column) } }
                    _ = try file.matrix(columns: Array(0..<file.columns))
                } catch {
                    expectGoodMessage(error, path: path)
                }
            }
        }
    }
}
