import ArgumentParser
import Foundation
import ModelCompression
import ModelFiles

/// Which samples a network is trained and tested on.
struct DataOptions: ParsableArguments {
    enum Separator: String, CaseIterable, ExpressibleByArgument {
        case comma, semicolon, tab

        var character: CSVFile.Separator {
            switch self {
            case .comma: .comma
            case .semicolon: .semicolon
            case .tab: .tab
            }
        }
    }

    @Option(help: "digits, fashion-mnist, a folder of IDX files as MNIST has them, of images of any size, or a table: a CSV file.")
    var data = "digits"

    @Option(help: ArgumentHelp("Of a table: the column of labels, by name or by place, from 1. (default: the last)", valueName: "column"))
    var label: String?

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Of a table: columns that are not used, by name or by place.", valueName: "column"))
    var ignore: [String] = []

    @Flag(help: "Of a table: the first record is data, not names of columns.")
    var noHeader = false

    @Option(help: "Of a table: comma, semicolon or tab. (default: comma)")
    var separator: Separator?

    @Option(help: "Of a table or a single pair of IDX files: the seed that draws the fifth of each class that is for testing. (default: 0)")
    var splitSeed: UInt64?

    func load() throws -> (training: LabelledData, test: LabelledData) {
        var isFolder: ObjCBool = false
        let isBuiltIn = ["digits", "fashion-mnist"].contains(data)
        guard isBuiltIn || FileManager.default.fileExists(atPath: data, isDirectory: &isFolder) else {
            throw BenchmarkError("--data: expected digits, fashion-mnist, a folder of IDX files or a CSV file, found \(data)")
        }
        if isBuiltIn || isFolder.boolValue { try refuseTableOptions(splits: isFolder.boolValue) }
        switch data {
        case "digits": return (try .digits(.training), try .digits(.test))
        case "fashion-mnist": return (try .fashionMNIST(.training), try .fashionMNIST(.test))
        default: return try isFolder.boolValue ? folder() : table()
        }
    }

    // An option without effect would be a figure of something else than was asked for.
    private func refuseTableOptions(splits: Bool) throws {
        let given = [
            ("--label", label != nil), ("--ignore", !ignore.isEmpty), ("--no-header", noHeader), ("--separator", separator != nil),
            ("--split-seed", splitSeed != nil && !splits),
        ]
        guard let (option, _) = given.first(where: { $0.1 }) else { return }
        throw BenchmarkError("\(option): expected --data FILE.csv beside it, found --data \(data)")
    }

    // Samples may be sorted by class, and studies take parts from either end.
    private func folder() throws -> (training: LabelledData, test: LabelledData) {
        let seed = splitSeed ?? 0, (training, test) = try LabelledData.imagesAndLabels(in: data, seed: seed)
        return (training.shuffled(seed: seed), test)
    }

    private func table() throws -> (training: LabelledData, test: LabelledData) {
        let separator = (separator ?? .comma).character
        let header = noHeader ? [] : try CSVFile(path: data, separator: separator).header ?? []
        // A name that is a number is a name first.
        func column(_ text: String) -> CSVFile.Column {
            header.contains(text) ? .named(text) : Int(text).map { .place($0) } ?? .named(text)
        }
        let labels = label.map(column) ?? .last
        if label != nil, let wrong = ignore.first(where: { column($0) == labels }) {
            throw BenchmarkError("--ignore: expected other columns than that of --label, found \(wrong)")
        }
        let all = try LabelledData(
            csv: data, label: labels, ignoring: ignore.map(column), hasHeader: !noHeader, separator: separator)
        return try all.split(seed: splitSeed ?? 0)
    }
}

/// What suits data of a size: LeNet-300-100 and large batches, or less of both for fewer than 10,000 samples.
struct TrainingScale {
    let isSmall: Bool
    let hidden: [Int]
    let batchSize: Int
    /// Of a training from the beginning; more for few samples, which make few steps.
    let epochs: Int
    /// Steps between two prunings of a gradual schedule, and the ratio to which `compress` prunes.
    let pruningInterval: Int
    let pruningRatio: Double

    init(samples: Int) {
        isSmall = samples < 10_000
        (hidden, batchSize) = isSmall ? ([100, 50], 32) : ([300, 100], 128)
        (pruningInterval, pruningRatio) = isSmall ? (20, 6) : (100, 12)
        epochs = samples < 1000 ? min(200, 100_000 / max(1, samples)) : isSmall ? 30 : 12
    }

    /// Widths of a multilayer perceptron for `data`, inputs first.
    func widths(_ data: LabelledData) -> [Int] { [data.inputs.columns] + hidden + [data.classes] }
}
