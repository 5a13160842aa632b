internal import CompactNumerics
public import ModelFiles

extension LabelledData {
    /// Classes that a column of labels may have: outputs of the network.
    private static let classLimit = 65_536

    /// Samples from a table in a CSV file (RFC 4180): one to a record, a column of labels, all others numbers.
    ///
    /// Labels that are all integers are classes in their order, others, case and spaces included, in the order of their Unicode scalars, so
    /// classes do not depend on the order of the records. Both become `classNames`, and the header `featureNames`.
    ///
    /// - Parameters:
    ///   - label: the column of the labels.
    ///   - ignored: columns that are not used, such as running numbers.
    ///   - classNames: those of other samples of the same kind, such as the training samples, so that classes are the same.
    /// - Throws: `CompressionError.file` with line and column for a file that cannot be read or breaks a rule of the format, for columns that are
    ///   not there, missing values, fields that are no finite numbers, and labels that are not among given class names; `.outOfRange` without a
    ///   column of numbers, for a single class or more than 65,536.
    public init(
        csv path: String, label: CSVFile.Column = .last, ignoring ignored: [CSVFile.Column] = [], hasHeader: Bool = true,
        separator: CSVFile.Separator = .comma, classNames: [String]? = nil
    ) throws(CompressionError) {
        let read = try CompressionError.wrapping { () throws -> (inputs: Matrix, labels: [Int], names: [String], features: [String]?) in
            let file = try CSVFile(path: path, separator: separator, hasHeader: hasHeader)
            let labelColumn = try file.index(of: label)
            let unused = Set(try ignored.map { column in try file.index(of: column) } + [labelColumn])
            let columns = (0..<file.columns).filter { !unused.contains($0) }
            guard !columns.isEmpty else {
                throw CompressionError.outOfRange(
                    what: "\(path): columns of numbers", allowed: "at least 1",
                    found: "0 of \(file.columns) columns, separated by \(separator): is it another separator?")
            }
            let (labels, names) = try Self.labels(file, column: labelColumn, names: classNames)
            return (try file.matrix(columns: columns), labels, names, file.header.map { header in columns.map { header[$0] } })
        }
        try self.init(
            inputs: read.inputs, labels: read.labels, classes: read.names.count, shape: SampleShape(read.inputs.columns), classNames: read.names,
            featureNames: read.features)
    }

    private static func labels(_ file: CSVFile, column: Int, names: [String]?) throws -> (labels: [Int], names: [String]) {
        var texts = Set<String>()
        for row in 0..<file.rows {
            let text = try file.text(row: row, column: column)
            guard !text.isEmpty else { throw file.failure(row: row, column: column, expected: "a label") }
            texts.insert(text)
            guard texts.count <= classLimit else {
                throw CompressionError.outOfRange(
                    what: "\(file.path): classes in the column of labels", allowed: "2…\(classLimit)", found: "more: is it another column?")
            }
        }
        // "07" and "7" are one class where all labels are integers, and only there.
        let areIntegers = texts.allSatisfy { Int($0) != nil }
        func name(_ text: String) -> String { areIntegers ? String(Int(text)!) : text }
        let names = try names ?? classNames(Set(texts.map(name)), areIntegers: areIntegers, path: file.path)
        let classes = Dictionary(zip(names, names.indices), uniquingKeysWith: { first, _ in first })
        let indices = Dictionary(uniqueKeysWithValues: texts.map { ($0, classes[$0] ?? classes[name($0)]) })
        let labels = try (0..<file.rows).map { row in
            if let index = try indices[file.text(row: row, column: column)]! { return index }
            let list = names.prefix(20).joined(separator: ", ") + (names.count > 20 ? ", …" : "")
            throw file.failure(row: row, column: column, expected: "a label of \(list)")
        }
        return (labels, names)
    }

    private static func classNames(_ labels: Set<String>, areIntegers: Bool, path: String) throws(CompressionError) -> [String] {
        guard labels.count >= 2 else {
            throw .outOfRange(
                what: "\(path): classes in the column of labels", allowed: "2…\(classLimit)", found: "\(labels.count): is it another column?")
        }
        if areIntegers { return labels.sorted { Int($0)! < Int($1)! } }
        return labels.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }
}
