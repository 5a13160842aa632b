import ArgumentParser
import CompactNumerics
import Foundation
import Testing

@testable import Benchmarks

@Suite struct CompareTests {
    private let machine = MachineDescription(cpu: "a", isa: "avx2", blas: "b", threads: 1)

    /// A report of rows with the times of five turns around a median, in milliseconds.
    private func report(_ medians: [String: Double], cpu: String = "a", threads: Int = 1, samples: Bool = true) -> ReportDocument {
        var machine = machine
        (machine.cpu, machine.threads) = (cpu, threads)
        let rows = medians.sorted { $0.key < $1.key }.map { name, milliseconds in
            let turns = [0.99, 1.0, 1.01, 0.995, 1.005].map { turn in [0.999, 1, 1.2].map { milliseconds * 1e-3 * turn * $0 } }
            var row = Measurement(case: "1x2x3", name: name, figure: 1, unit: "GOP/s", timing: Timing(turns: turns))
            if !samples { row.samples = nil }
            return row
        }
        return ReportDocument(machine: machine, rows: rows)
    }

    @Test func ratiosHaveIntervals() {
        let turns = [[[1.0, 1, 1], [1.02], [0.98], [1.01], [0.99]]]
        let same = MedianRatio(before: turns, after: turns)
        #expect(same.ratio == 1 && same.interval.contains(1) && same.interval.lowerBound > 0.95 && same.interval.upperBound < 1.05)
        let half = MedianRatio(before: turns, after: turns.map { $0.map { $0.map { $0 * 2 } } })
        #expect(half.ratio == 0.5 && half.interval.upperBound < 0.53)
        // The same random numbers every time; files that differ make the interval wide.
        #expect(MedianRatio(before: turns, after: turns).interval == same.interval)
        let apart = MedianRatio(before: [[[1]], [[1]]], after: [[[1]], [[2]]])
        #expect(apart.interval == 0.5...1)
        #expect(MedianRatio(before: [[[3]]], after: [[[2]]]).interval == 1.5...1.5)
    }

    @Test func slowerRowsAreFound() throws {
        let before = report(["a": 1, "b": 1, "c": 1])
        let equal = try Comparison(before: [before, before], after: [before, before], atLeast: 0.97)
        #expect(equal.rows.count == 3 && !equal.isSlower && equal.warnings.isEmpty)
        let after = report(["a": 1.01, "b": 1.2, "c": 0.5])
        let slower = try Comparison(before: [before], after: [after], atLeast: 0.97)
        #expect(slower.rows.map(\.isSlower) == [false, true, false] && slower.isSlower)
        #expect(abs(slower.rows[1].times.ratio - 1 / 1.2) < 1e-6 && abs(slower.rows[2].seconds.after - 0.5e-3) < 1e-8)
        #expect(try !Comparison(before: [before], after: [after], atLeast: 0.8).isSlower)
        // One of two runs was disturbed: no verdict.
        #expect(try !Comparison(before: [before, before], after: [after, before], atLeast: 0.97).isSlower)
    }

    @Test func whatDiffersIsTold() throws {
        let before = report(["a": 1, "b": 1]), other = report(["a": 1, "c": 1], cpu: "z", samples: false)
        let comparison = try Comparison(before: [before], after: [other], atLeast: 0.97)
        #expect(comparison.rows.map(\.key.name) == ["a"] && comparison.warnings.count == 3)
        #expect(comparison.warnings[0].contains("processors: a; z") && comparison.warnings[1].contains("2 rows"))
        #expect(comparison.warnings[2].contains("medians alone"))
        #expect(throws: CompareError.differentThreads([1, 2])) {
            try Comparison(before: [before], after: [report(["a": 1], threads: 2)], atLeast: 0.97)
        }
        #expect(throws: CompareError.differentBenchmarks) { try Comparison(before: [before], after: [report(["x": 1])], atLeast: 0.97) }
        // Limits have no times.
        var limits = before
        for index in limits.rows.indices { (limits.rows[index].median_seconds, limits.rows[index].samples) = (0, nil) }
        #expect(throws: CompareError.differentBenchmarks) { try Comparison(before: [before], after: [limits], atLeast: 0.97) }
    }

    @Test func theCommandEndsWithAStatus() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("compare-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ name: String, _ data: Data) throws -> String {
            try data.write(to: folder.appendingPathComponent(name))
            return folder.appendingPathComponent(name).path
        }
        let fast = try write("fast", JSONEncoder().encode(report(["a": 1]))), slow = try write("slow", JSONEncoder().encode(report(["a": 2])))
        let text = try write("text", Data(#"{"rows": []}"#.utf8))
        func status(_ arguments: String...) throws -> Int32 {
            var command = try Benchmarks.parseAsRoot(["compare"] + arguments)
            do {
                try command.run()
                return 0
            } catch let code as ExitCode {
                return code.rawValue
            }
        }
        #expect(try status(slow, fast) == 0 && status(fast, slow) == 1 && status(fast, slow, "--at-least", "0.4") == 0)
        #expect(try status("--before", fast, fast, "--after", slow, slow) == 1)
        let none = "/no/such/file"
        for wrong in [[fast], [fast, fast, fast], [fast, "--after", slow], [fast, text], [fast, none], [fast, slow, "--at-least", "0"]] {
            var command = try Benchmarks.parseAsRoot(["compare"] + wrong)
            #expect(throws: ExitCode(2)) { try command.run() }
        }
        #expect(throws: CompareError.noReport(path: text)) { try Comparison.read(path: text) }
        #expect(throws: CompareError.unreadable(path: "/no/such/file")) { try Comparison.read(path: "/no/such/file") }
    }

    @Test func theGridFindsLosers() throws {
        var shared = SharedOptions()
        (shared.threads, shared.json, shared.seconds) = (1, nil, 1e-4)
        let report = Report(machine: machine), formats = try ["w8a8", "csr", "2:4"].map(BenchmarkFormat.init(named:))
        let losers = try GridStudy(formats: formats, sparsity: 0.9, shared: shared, report: report).measure(rows: [1, 3], sizes: [16, 40])
        #expect(report.rows.count == 8 * 4 && report.rows.allSatisfy { $0.samples?.count == 5 })
        #expect(losers.count == report.rows.count { ($0.ratio_to_float32 ?? 1) < 1 })
        #expect(losers.allSatisfy { $0.ratio.interval.contains($0.ratio.ratio) })
    }
}
