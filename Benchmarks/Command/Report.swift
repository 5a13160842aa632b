import Foundation
import ModelFiles

/// One measured figure, as the JSON report keeps it.
struct Measurement: Codable {
    /// The shape as the peers' script writes it: 256x1024x1024, 256x1024x1024 sparsity 0.9 block 4x1, 16777216.
    var `case`: String
    /// float32, w8a8, w4a8-g32, csr, f32-to-f16, …
    var name: String
    var figure: Double
    /// GOP/s (2·M·K·N operations, also for sparse weights), GB/s (read and written).
    var unit: String
    var median_seconds: Double
    var ratio_to_float32: Double?
    /// Share of what the machine allows at most.
    var of_limit: Double?
    /// Seconds of runs, a list for each turn, at most 20 of a turn: what `compare` reads.
    var samples: [[Double]]?
}

extension Measurement {
    init(
        case: String, name: String, figure: Double, unit: String, timing: Timing, ratio_to_float32: Double? = nil, of_limit: Double? = nil
    ) {
        self.init(
            case: `case`, name: name, figure: figure, unit: unit, median_seconds: timing.seconds, ratio_to_float32: ratio_to_float32,
            of_limit: of_limit, samples: timing.samples)
    }
}

/// What the JSON report says of the machine.
struct MachineDescription: Codable, Equatable {
    var cpu: String
    var isa: String
    var blas: String
    var threads: Int
}

/// What a report's file holds.
struct ReportDocument: Codable {
    var machine: MachineDescription
    var rows: [Measurement]
}

/// Everything a run measured, written as JSON when all of it is there.
final class Report {
    let machine: MachineDescription
    private(set) var rows: [Measurement] = []

    init(machine: MachineDescription) {
        self.machine = machine
    }

    func add(_ row: Measurement) {
        rows.append(row)
    }

    /// Writes the report; at `path` there is never half of one.
    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(ReportDocument(machine: machine, rows: rows))
        do {
            try OutputFile.replace(path: path, with: data)
        } catch {
            throw BenchmarkError("--json \(path): expected a file that can be written, found: \(error.found)")
        }
    }
}

/// A wrong option or file: one line that names what was expected and found.
struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// A table printed row by row, with columns of fixed widths: the first left-aligned, the others right-aligned.
struct Table {
    private let widths: [Int]

    init(_ columns: [(title: String, width: Int)]) {
        widths = columns.map { max($0.width, $0.title.count) }
        print(line(columns.map(\.title)))
        print(String(repeating: "-", count: widths.reduce(0) { $0 + $1 + 2 } - 2))
    }

    func row(_ cells: [String]) {
        print(line(cells))
        fflush(nil)  // a pipe gets each row when it is measured
    }

    /// A line below a row.
    func note(_ text: String) {
        print("    " + text)
        fflush(nil)
    }

    private func line(_ cells: [String]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: max(0, widths[index] - cell.count))
            line += index == 0 ? cell + padding : "  " + padding + cell
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}

// MARK: - Text of numbers

func fixed(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
}

func duration(_ seconds: Double) -> String {
    switch seconds {
    case ..<1e-3: fixed(seconds * 1e6, 1) + " µs"
    case ..<1: fixed(seconds * 1e3, 2) + " ms"
    default: fixed(seconds, 2) + " s"
    }
}

func byteText(_ bytes: Int) -> String {
    switch bytes {
    case ..<10_000: "\(bytes) B"
    case ..<10_000_000: fixed(Double(bytes) / 1e3, 0) + " kB"
    default: fixed(Double(bytes) / 1e6, 1) + " MB"
    }
}

func percent(_ fraction: Double) -> String {
    fixed(fraction * 100, 0) + " %"
}
