import CompactNumerics
import Foundation
@testable import ModelCompression
import ModelFiles
import Testing

/// A table as people have them: features of unlike sizes, 1e-3 … 1e4, far from 0, one of them constant; four classes.
enum UnlikeFeatures {
    static let scales: [Float] = [1e-3, 1, 250, 1e4, 3e-2, 1, 70, 5e3]

    static func data(_ count: Int, seed: UInt64) throws -> LabelledData {
        var generator = SeededGenerator(seed: seed), centres = SeededGenerator(seed: 1)
        let middle = centres.tensor(4, scales.count)
        let labels = (0..<count).map { _ in generator.index(below: 4) }
        let inputs = Matrix(rows: count, columns: scales.count) { row, column in
            column == 5 ? 7 : scales[column] * (middle[labels[row], column] + 0.6 * Float(generator.gaussian()) + 3)
        }
        return try LabelledData(inputs: inputs, labels: labels, classes: 4, shape: SampleShape(scales.count))
    }
}

@Suite struct TableTests {
    private func withTable<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
        try withTemporaryFile { path in
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            return try body(path)
        }
    }

    @Test func readsNamesLabelsAndNumbers() throws {
        let text = "id,length,\"kind, of\",width\r\n1,2.5,b,10\r\n2,-1e-3,a,20\r\n3,0,\"a \"\"x\"\"\",30\r\n4,7,b,40\r\n"
        try withTable(text) { path in
            let data = try LabelledData(csv: path, label: .named("kind, of"), ignoring: [.named("id")])
            #expect(data.classNames == ["a", "a \"x\"", "b"] && data.labels == [2, 0, 1, 2] && data.classes == 3)
            #expect(data.featureNames == ["length", "width"] && data.shape == SampleShape(2))
            #expect(data.inputs == (try Matrix(rows: 4, columns: 2, elements: [2.5, 10, -1e-3, 20, 0, 30, 7, 40])))
            #expect(data.selecting([3]).classNames == data.classNames && data.prefix(1).featureNames == data.featureNames)
            // Other samples of the same kind have the same classes, though not all of them.
            let other = try withTable("a,b,c\n1,2,b\n") { try LabelledData(csv: $0, classNames: data.classNames) }
            #expect(other.labels == [2] && other.classes == 3)
            #expect(throws: CompressionError.self) { try LabelledData(csv: path, label: .last, classNames: ["10", "20"]) }
        }
    }

    @Test(arguments: [
        ("1;10\n2;9\n3;10\n4;-1\n", ["-1", "9", "10"], [2, 1, 2, 0]), ("1;07\n2;7\n3;8\n", ["7", "8"], [0, 0, 1]),
        ("1;07\n2;7\n3;x\n", ["07", "7", "x"], [0, 1, 2]), ("1;b\n2;B\n3;é\n4; b\n", [" b", "B", "b", "é"], [2, 1, 3, 0]),
        ("1;1.0\n2;10.0\n3;2.0\n", ["1.0", "10.0", "2.0"], [0, 1, 2]),
    ])
    func classesDoNotDependOnTheOrder(text: String, names: [String], labels: [Int]) throws {
        try withTable(text) { path in
            let data = try LabelledData(csv: path, label: .place(2), hasHeader: false, separator: .semicolon)
            #expect(data.classNames == names && data.labels == labels && data.featureNames == nil)
        }
        let reversed = text.split(separator: "\n").reversed().joined(separator: "\n")
        try withTable(reversed) { path in
            let data = try LabelledData(csv: path, hasHeader: false, separator: .semicolon)
            #expect(data.classNames == names && data.labels == labels.reversed())
        }
    }

    @Test(arguments: [
        ("a,b\n1,x\n,y\n", "line 3, column 1 (\"a\"): expected a finite number, found \"\""),
        ("a,b\n1,x\n2,\n", "line 3, column 2 (\"b\"): expected a label"),
        ("a,b\n1,x\n2,x\n", "found 1"), ("a;b\n1;x\n2;y\n", "another separator"), ("a,b\n1,x\nNA,y\n", "found \"NA\""),
        ("a,b\n", "found 0"), ("a,b\n1,x\n2\n", "line 3"),
    ])
    func whatIsWrongIsNamed(text: String, words: String) throws {
        try withTable(text) { path in
            let error = try #require(throws: CompressionError.self) { try LabelledData(csv: path) }
            #expect(error.description.contains(words) && error.description.contains(path), "\(error)")
        }
    }

    @Test func aColumnOfMeasurementsIsNoLabel() throws {
        let text = (0..<70_000).map { "1,\($0).5\n" }.joined()
        try withTable(text) { path in
            let error = try #require(throws: CompressionError.self) { try LabelledData(csv: path, hasHeader: false) }
            #expect(error.description.contains("another column"))
        }
    }

    // MARK: - Split

    /// Every sample is in one part; the share holds in all and within one sample in each class.
    @Test(arguments: [0.2, 0.5, 0.03, 0.9]) func splitsKeepTheClasses(share: Double) throws {
        let sizes = [1, 2, 3, 50, 117, 400, 0], labels = sizes.indices.flatMap { [Int](repeating: $0, count: sizes[$0]) }
        let data = try LabelledData(
            inputs: Matrix(rows: labels.count, columns: 1) { row, _ in Float(row) }, labels: labels, classes: sizes.count, shape: SampleShape(1))
        for seed in 0..<5 as Range<UInt64> {
            let (training, test) = try data.split(testShare: share, seed: seed)
            let rows = { (data: LabelledData) in data.inputs.withUnsafeBufferPointer { $0.map(Int.init) } }
            #expect((rows(training) + rows(test)).sorted() == Array(0..<data.count))
            #expect(test.count == Int((share * Double(data.count)).rounded()))
            for (label, size) in sizes.enumerated() {
                let tested = test.labels.count { $0 == label }
                #expect(abs(Double(tested) - share * Double(size)) <= 1 && (size == 0 || tested < size), "\(size) samples, \(share)")
            }
            for part in [training, test] { #expect(rows(part) != rows(part).sorted() && rows(part).map { labels[$0] } == part.labels) }
            #expect(try rows(data.split(testShare: share, seed: seed).test) == rows(test))
            #expect(try rows(data.split(testShare: share, seed: seed + 9).test) != rows(test))
        }
    }

    /// A quarter of 10, 11 and 14 is 2.5, 2.75 and 3.5: nine samples, of which the largest remainders get one more.
    @Test func remaindersDecide() throws {
        let labels = [0, 1, 2].flatMap { [Int](repeating: $0, count: [10, 11, 14][$0]) }
        let data = try LabelledData(inputs: Matrix(rows: 35, columns: 1), labels: labels, classes: 3, shape: SampleShape(1))
        let tested = try data.split(testShare: 0.25, seed: 4).test.labels
        #expect([0, 1, 2].map { label in tested.count { $0 == label } } == [3, 3, 3])
    }

    @Test func splitsThatCannotBeAreRefused() throws {
        let data = try LabelledData(inputs: Matrix(rows: 2, columns: 1), labels: [0, 1], classes: 2, shape: SampleShape(1))
        for share in [0, 1, -0.1, 1.1, .nan, .infinity] { #expect(throws: CompressionError.self) { try data.split(testShare: share) } }
        // One sample of each class stays for training.
        #expect(throws: CompressionError.self) { try data.split(testShare: 0.5) }
        #expect(throws: CompressionError.self) { try data.prefix(0).split() }
    }

    @Test func namesMustBeAsManyAsWhatTheyName() throws {
        let inputs = Matrix(rows: 1, columns: 2)
        for (classes, features) in [(["a"], nil), (nil, ["x"]), (["a", "b", "c"], ["x", "y"])] as [([String]?, [String]?)] {
            #expect(throws: CompressionError.self) {
                try LabelledData(inputs: inputs, labels: [0], classes: 2, shape: SampleShape(2), classNames: classes, featureNames: features)
            }
        }
    }
}
