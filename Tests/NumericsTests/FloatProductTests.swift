import Testing

@testable import CompactNumerics

/// float32 layers take sgemv for few rows and sgemm for more: the same products, and the same bits for any number of threads.
@Suite struct FloatProductTests {
    @Test(arguments: [1, 2, 3, 6, 7], [(1, 1), (37, 5), (1000, 257), (4099, 70), (33_001, 5)])
    func productsAreThoseOfTheFormula(m: Int, size: (k: Int, n: Int)) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, size.k), weight = generator.matrix(size.n, size.k), layer = try Linear(weight: weight)
        let y = layer(x)
        for row in 0..<m {
            for output in 0..<size.n {
                let terms = (0..<size.k).map { Double(x[row, $0]) * Double(weight[output, $0]) }
                let exact = terms.reduce(0, +), bound = terms.reduce(0) { $0 + abs($1) } * Double(size.k + 1) * 0x1p-24
                #expect(abs(Double(y[row, output]) - exact) <= bound, "seed \(generator.seed)")
            }
        }
    }

    @Test(arguments: [1, 2, 3, 6]) func threadsAndLayoutsDoNotChangeBitsOfFewRows(m: Int) throws {
        var generator = SeededGenerator()
        for (k, n) in [(1000, 257), (333, 1001), (4096, 67)] {
            let x = generator.matrix(m, k), layer = try Linear(weight: generator.matrix(n, k), bias: generator.numbers(n), activation: .relu)
            let serial = layer(x)
            // Small ones may go to sgemm, which OpenBLAS splits as it likes.
            guard FloatProduct.takesVectors(rows: m, inputs: k, outputs: n, set: BLASLibrary.set) else { continue }
            for threads in [2, 3, 7] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == serial.bits) }
            var workspace = Workspace(), columns = Matrix(rows: n, columns: m)
            layer.apply(
                x.transposed(), layout: .featureMajor, into: &columns, layout: .featureMajor, workspace: &workspace,
                parallelism: Parallelism(threads: 2, cutsSmallWork: true))
            #expect(columns.transposed().bits == serial.bits, "seed \(generator.seed)")
        }
    }

    @Test func theRuleFollowsTheKernels() {
        func takesVectors(_ m: Int, _ k: Int, _ n: Int, _ set: String?) -> Bool {
            FloatProduct.takesVectors(rows: m, inputs: k, outputs: n, set: set)
        }
        for set in ["avx2", "avx512", nil] {
            #expect(takesVectors(1, 64, 64, set) && !takesVectors(7, 4096, 4096, set))
        }
        #expect(takesVectors(6, 64, 16, "avx2") && takesVectors(6, 4096, 4096, "avx512") && !takesVectors(2, 4096, 4096, nil))
        // OpenBLAS multiplies small matrices without packing.
        #expect(!takesVectors(2, 256, 256, "avx512") && takesVectors(2, 64, 1000, "avx512") && takesVectors(2, 4096, 256, "avx512"))
        #expect(BLASLibrary.set(ofCore: "SkylakeX") == "avx512" && BLASLibrary.set(ofCore: "Zen") == "avx2")
        #expect(BLASLibrary.set(ofCore: "Prescott") == nil)
    }
}
