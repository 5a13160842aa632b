import ArgumentParser
import Foundation

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Whether one build is slower than another, from the JSON of both.",
        discussion: """
            Compares the rows that both sides have, by case and name: the ratio of the median times, above 1 where the second is faster, and its 95 % \
            interval, a bootstrap over files and turns with fixed random numbers. Runs of a program differ by more than the turns of one run: \
            run both builds in turn (A B A B) and give several files a side, as Scripts/compare-commits.sh does. \
            Status 1: a row is slower, its whole interval below --at-least; 2: files that cannot be compared.
            """)

    @Argument(help: ArgumentHelp("Two reports, before and after.", valueName: "file"))
    var files: [String] = []

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Reports of the first build.", valueName: "file"))
    var before: [String] = []

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Reports of the second build.", valueName: "file"))
    var after: [String] = []

    @Option(help: ArgumentHelp("The least ratio that is not called slower.", valueName: "ratio"))
    var atLeast = 0.97

    func run() throws {
        let comparison: Comparison
        do throws(CompareError) {
            let sides = try sides()
            comparison = try Comparison(
                before: sides.before.map(Comparison.read(path:)), after: sides.after.map(Comparison.read(path:)), atLeast: atLeast)
        } catch {
            FileHandle.standardError.write(Data("Error: \(error)\n".utf8))
            throw ExitCode(2)
        }
        for warning in comparison.warnings { FileHandle.standardError.write(Data("WARNING: \(warning)\n".utf8)) }
        comparison.printTable()
        if comparison.isSlower { throw ExitCode(1) }
    }

    private func sides() throws(CompareError) -> (before: [String], after: [String]) {
        guard atLeast > 0, atLeast.isFinite else { throw .options("--at-least: expected a number above 0, found \(atLeast)") }
        let isList = files.isEmpty && !before.isEmpty && !after.isEmpty
        guard isList || files.count == 2 && before.isEmpty && after.isEmpty else {
            throw .options("expected two files, or --before FILES --after FILES")
        }
        return isList ? (before, after) : ([files[0]], [files[1]])
    }
}

/// Why reports cannot be compared.
enum CompareError: Error, Equatable, CustomStringConvertible {
    case options(String)
    case unreadable(path: String)
    case noReport(path: String)
    case differentThreads([Int])
    /// The two sides have no row with times in common.
    case differentBenchmarks

    var description: String {
        switch self {
        case .options(let text): text
        case .unreadable(let path): "\(path): expected a file that can be read, found none"
        case .noReport(let path): "\(path): expected a report as --json writes it, found something else"
        case .differentThreads(let counts): "reports: expected the same number of threads, found \(counts.map(String.init).joined(separator: ", "))"
        case .differentBenchmarks: "reports: expected rows of the same benchmarks on both sides, found none in common"
        }
    }
}

/// The rows of two builds side by side.
struct Comparison {
    struct Row {
        let key: Key
        let seconds: (before: Double, after: Double)
        let times: MedianRatio
        let isSlower: Bool
    }

    struct Key: Hashable {
        let `case`: String, name: String, unit: String
    }

    private typealias Times = [[[Double]]]

    let rows: [Row]
    let warnings: [String]
    var isSlower: Bool { rows.contains(where: \.isSlower) }
    private let atLeast: Double

    static func read(path: String) throws(CompareError) -> ReportDocument {
        guard let data = FileManager.default.contents(atPath: path) else { throw .unreadable(path: path) }
        do {
            return try JSONDecoder().decode(ReportDocument.self, from: data)
        } catch {
            throw .noReport(path: path)
        }
    }

    init(before: [ReportDocument], after: [ReportDocument], atLeast: Double) throws(CompareError) {
        let machines = (before + after).map(\.machine), threads = Set(machines.map(\.threads))
        guard threads.count == 1 else { throw .differentThreads(threads.sorted()) }
        let (old, new) = (Self.times(before), Self.times(after)), keys = Self.keys(before)
        rows = keys.compactMap { key in
            guard let before = old[key], let after = new[key] else { return nil }
            let ratio = MedianRatio(before: before, after: after)
            let seconds = (median(before.joined().map(median)), median(after.joined().map(median)))
            return Row(key: key, seconds: seconds, times: ratio, isSlower: ratio.interval.upperBound < atLeast)
        }
        guard !rows.isEmpty else { throw .differentBenchmarks }
        self.atLeast = atLeast
        warnings = Self.warnings(machines, one: Set(old.keys).symmetricDifference(new.keys).count, before + after)
    }

    private static func key(_ row: Measurement) -> Key { Key(case: row.case, name: row.name, unit: row.unit) }

    /// Rows with times, each once, in their order.
    private static func keys(_ documents: [ReportDocument]) -> [Key] {
        var known: Set<Key> = []
        return documents.flatMap(\.rows).map(key).filter { known.insert($0).inserted }
    }

    /// Of each row the times of every file that has it. `sparse` writes float32 beside each format, the same times again: the first counts.
    private static func times(_ documents: [ReportDocument]) -> [Key: Times] {
        var times: [Key: Times] = [:]
        for document in documents {
            var known: Set<Key> = []
            for row in document.rows where row.median_seconds > 0 && known.insert(key(row)).inserted {
                let turns = turns(row)
                times[key(row), default: []].append(turns.isEmpty ? [[row.median_seconds]] : turns)
            }
        }
        return times
    }

    /// The samples that are times.
    private static func turns(_ row: Measurement) -> [[Double]] { row.samples?.filter { !$0.isEmpty && $0.allSatisfy { $0 > 0 } } ?? [] }

    private static func warnings(_ machines: [MachineDescription], one: Int, _ documents: [ReportDocument]) -> [String] {
        var warnings: [String] = []
        for (what, values) in [("processors", machines.map(\.cpu)), ("instruction sets", machines.map(\.isa)), ("BLAS", machines.map(\.blas))] {
            let different = Set(values).sorted()
            if different.count > 1 { warnings.append("the reports are of different \(what): \(different.joined(separator: "; "))") }
        }
        if one > 0 { warnings.append("\(one) rows are on one side only and left out") }
        let old = documents.count { $0.rows.contains { turns($0).isEmpty } }
        if old > 0 { warnings.append("\(old) reports have rows with medians alone: their interval knows only how files differ, so give several") }
        return warnings
    }

    func printTable() {
        let table = Table([("case", 36), ("name", 15), ("before", 10), ("after", 10), ("ratio", 6), ("95 %", 13), ("", 6)])
        for row in rows {
            table.row([
                row.key.case, row.key.name, duration(row.seconds.before), duration(row.seconds.after), fixed(row.times.ratio, 3),
                "\(fixed(row.times.interval.lowerBound, 3))…\(fixed(row.times.interval.upperBound, 3))", row.isSlower ? "SLOWER" : "",
            ])
        }
        let slower = rows.count(where: \.isSlower)
        print("\n\(rows.count) rows, \(slower) slower than \(atLeast) of before; median ratio \(fixed(median(rows.map(\.times.ratio)), 3))")
    }
}
