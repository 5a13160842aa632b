import ArgumentParser

struct Roofline: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What this machine can do at most: arithmetic peaks and read bandwidth.",
        discussion: """
            By loops that do nothing else, of the instruction set that the kernels use (CK_ISA), and for float32 of that which BLAS uses. The percentages \
            of limit of the other commands refer to the same loops, run anew before and after what they judge.
            """)

    @OptionGroup var shared: SharedOptions

    func run() throws {
        try shared.check()
        try shared.withReport { report in Self.print(Peaks(parallelism: shared.parallelism), report) }
    }

    static func print(_ peaks: Peaks, _ report: Report) {
        let table = Table([("limit", 34), ("loop", 10), ("figure", 9), ("unit", 6)]), progress = Progress("machine limits")
        for (name, set, limit) in peaks.listed {
            progress.show(name)
            let figure = peaks.measure(limit, seconds: 0.1) / 1e9
            progress.clear()
            let unit = if case .read = limit { "GB/s" } else { "GOP/s" }
            table.row([name, set, fixed(figure, 1), unit])
            report.add(Measurement(case: "limit", name: name, figure: figure, unit: unit, median_seconds: 0, ratio_to_float32: nil))
        }
    }
}
