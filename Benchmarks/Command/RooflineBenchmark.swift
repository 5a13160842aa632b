import ArgumentParser

struct Roofline: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What this machine can do at most: arithmetic peaks and read bandwidth.",
        discussion: "The percentages of limit of the other commands refer to these figures, measured anew in each run.")

    @OptionGroup var shared: SharedOptions

    func run() throws {
        try shared.check()
        try shared.withReport { report in
            Self.print(Peaks(parallelism: shared.parallelism, progress: Progress("machine limits")), report)
        }
    }

    static func print(_ peaks: Peaks, _ report: Report) {
        let table = Table([("limit", 34), ("figure", 9), ("unit", 6)])
        for (name, figure, unit) in peaks.table {
            table.row([name, fixed(figure, 1), unit])
            report.add(Measurement(case: "limit", name: name, figure: figure, unit: unit, median_seconds: 0, ratio_to_float32: nil))
        }
    }
}
