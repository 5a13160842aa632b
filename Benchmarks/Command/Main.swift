import ArgumentParser
import CompactNumerics
import Foundation

@main
struct Benchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Benchmarks",
        abstract: "What compressed weights buy on this CPU, against an honest float32.",
        discussion: """
            Without a subcommand: a tour of all of them, about two minutes.
            CK_ISA=portable|avx2|neon|… in the environment forces an instruction set.
            """,
        subcommands: [
            Tour.self, Gemm.self, Sparse.self, Round.self, Packing.self, Model.self, Roofline.self, Grid.self, Scaling.self, Training.self,
            Compare.self, Compress.self, Study.self,
        ],
        defaultSubcommand: Tour.self)

    /// Figures of another instruction set than the one asked for would mislead: status 78 is EX_CONFIG of sysexits.h.
    static func main() {
        let selection = InstructionSet.selection
        if selection.isFallback {
            FileHandle.standardError.write(Data((selection.description + "\n").utf8))
            Foundation.exit(78)
        }
        main(nil)
    }
}

struct Tour: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A tour of all benchmarks, about two minutes (the default).")

    @OptionGroup var shared: ModelOptions

    func run() throws {
        let common = shared.common
        try shared.check()
        try common.withReport { report in
            print("1. What this machine can do at most\n")
            let peaks = Peaks(parallelism: common.parallelism)
            Roofline.print(peaks, report)
            print("\n2. Rounding\n")
            Round.measure(elements: 1 << 24, common, report)
            print("\n3. Quantized weights\n")
            let table = Gemm.table()
            let formats = try WeightFormat.denseDefaults.map { try WeightFormat(denseNamed: $0) }
            for shape in Gemm.defaultShapes { try Gemm.measure(shape, formats, common, peaks, table, report) }
            print("\n4. Pruned weights\n")
            let sparseTable = Sparse.table()
            let sparseFormats = try SparseFormat.defaults.map { try SparseFormat(named: $0) }
            let studies = try Sparse.defaultShapes.map { try SparseStudy($0, sparseFormats, common, peaks) }
            for study in studies {
                for sparsity in [0.5, 0.8, 0.9] { try study.measure(sparsity: sparsity, sparseTable, report) }
            }
            print("\nbeats float32 from")
            let breakEven = Table([("shape", 16)] + sparseFormats.filter { $0.nOfM == nil }.map { ($0.name, 8) })
            try studies.last?.printBreakEven(breakEven)  // the other shapes take minutes: `sparse` does them
            print("\n5. A real network: ", terminator: "")
            try ModelStudy(Network(), shared, report).run()
        }
    }
}
