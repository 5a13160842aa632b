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
        subcommands: [Tour.self, Gemm.self, Sparse.self, Round.self, Model.self, Roofline.self],
        defaultSubcommand: Tour.self)
}

struct Tour: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A tour of all benchmarks, two to three minutes (the default).")

    @OptionGroup var shared: ModelOptions

    func run() throws {
        let common = shared.common
        try shared.check()
        try common.withReport { report in
            print("1. What this machine can do at most\n")
            let peaks = Peaks(parallelism: common.parallelism, progress: Progress("machine limits"))
            Roofline.print(peaks, report)
            print("\n2. Rounding\n")
            Round.measure(elements: 1 << 24, common, report)
            print("\n3. Quantized weights\n")
            let table = Gemm.table()
            let formats = try ["f16", "w8a8", "w8a7", "w4a8-g32", "w4a8-channel", "w2a8-g128"].map(WeightFormat.init(named:))
            for shape in [Shape(m: 256, k: 1024, n: 1024), Shape(m: 16, k: 4096, n: 4096), Shape(m: 1, k: 4096, n: 4096)] {
                try Gemm.measure(shape, formats, common, peaks, table, report)
            }
            print("\n4. Pruned weights\n")
            let sparseTable = Sparse.table()
            let sparseFormats = try ["csr", "4x1", "csr-w8a8", "1x4-w8a8"].map { try SparseFormat(named: $0) }
            let study = try SparseStudy(Shape(m: 256, k: 1024, n: 1024), sparseFormats, common, peaks)
            for sparsity in [0.7, 0.9] { try study.measure(sparsity: sparsity, sparseTable, report) }
            print("\nbeats float32 from")
            try study.printBreakEven(Table([("shape", 16)] + sparseFormats.map { ($0.name, 8) }))
            print("\n5. A real network: ", terminator: "")
            try ModelStudy(Network(), shared, report).run()
        }
    }
}
