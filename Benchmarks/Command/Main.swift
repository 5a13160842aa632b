import ArgumentParser
import Foundation

@main
struct Benchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Benchmarks",
        abstract: "What compressed weights buy on this CPU, against an honest float32.",
        discussion: """
            Without a subcommand: a tour of all of them, two to three minutes.
            CK_ISA=portable|avx2|… in the environment forces an instruction set.
            """,
        subcommands: [Tour.self, Gemm.self, Round.self, Roofline.self],
        defaultSubcommand: Tour.self)
}

struct Tour: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A tour of all benchmarks, two to three minutes (the default).")

    @OptionGroup var shared: SharedOptions

    func run() throws {
        try shared.withReport { report in
            print("What this machine can do at most\n")
            let peaks = Peaks(parallelism: shared.parallelism, progress: Progress("machine limits"))
            Roofline.print(peaks, report)
            print("\nRounding\n")
            Round.measure(elements: 1 << 24, shared, report)
            print("\nQuantized weights\n")
            let table = Gemm.table()
            for shape in [Shape(m: 256, k: 1024, n: 1024), Shape(m: 16, k: 4096, n: 4096), Shape(m: 1, k: 4096, n: 4096)] {
                try Gemm.measure(shape, WeightFormat.defaults.map(WeightFormat.init(named:)), shared, peaks, table, report)
            }
        }
    }
}
