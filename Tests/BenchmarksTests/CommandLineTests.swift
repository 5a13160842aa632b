import ArgumentParser
import CompactNumerics
import Testing

@testable import Benchmarks

@Suite struct CommandLineTests {
    @Test(arguments: ["256x1024x1024", "1x1x1", "7x333x11008"])
    func shapesReadAsTheyAreWritten(text: String) throws {
        let shape = try #require(Shape(argument: text))
        try shape.check()
        #expect(shape.description == text)
    }

    @Test(arguments: ["", "1", "1x2", "1x2x3x4", "axbxc", "1x2x", "1x2x3.5", "x", "99999999999999999999x1x1"])
    func otherTextIsNoShape(text: String) {
        #expect(Shape(argument: text) == nil)
    }

    @Test(arguments: [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1), (1, 65537, 1), (1, 1 << 40, 1), (1 << 62, 4, 4), (1 << 20, 1, 1 << 20)])
    func impossibleShapesAreRefused(m: Int, k: Int, n: Int) {
        #expect(throws: BenchmarkError.self) { try Shape(m: m, k: k, n: n).check() }
    }

    @Test func namesOfFormatsReadBack() throws {
        for name in WeightFormat.denseDefaults + ["float32", "w8a8-tensor", "w8a8-g64", "w2a8-g32"] {
            #expect(try WeightFormat(denseNamed: name).description == name)
        }
        for name in SparseFormat.defaults + ["16x16-w8a8", "8x1-w8a8-rowmajor"] {
            #expect(try SparseFormat(named: name).name == name)
        }
    }

    @Test(arguments: ["", "w5a8", "w4a8-g33", "w4a8-g0", "w4a8-g-32", "w4a7", "f17", "w8a8-", "w8a8-g99999999999999999999"])
    func unknownWeightFormats(name: String) {
        #expect(throws: NumericsError.self) { try WeightFormat(denseNamed: name) }
    }

    @Test(arguments: ["", "csr-", "2x2", "csr-w4a8", "4x1-w8a8-w8a8", "-csr", "1x1"])
    func unknownSparseFormats(name: String) {
        #expect(throws: NumericsError.self) { try SparseFormat(named: name) }
    }

    @Test(arguments: [[-0.1], [1.1], [0.5, .nan], [.infinity]])
    func sparsityOutsideItsRange(shares: [Double]) {
        #expect(throws: BenchmarkError.self) { try checkSparsity(shares) }
    }

    @Test(arguments: [
        ["gemm", "--threads", "0"], ["round", "--seconds", "0"], ["gemm", "--shapes", "0x1x1"], ["sparse", "--sparsity", "2"],
        ["round", "--elements", "0"], ["gemm", "--json", "/no/such/folder/report.json"], ["model", "/no/such/file"],
        ["gemm", "--shapes", "1x100x1", "--formats", "w4a8-g33"], ["grid", "--rows", "0"], ["grid", "--formats", "w9a8"], ["compare", "one"],
    ])
    func wrongOptionsThrowBeforeAnythingRuns(arguments: [String]) throws {
        var command = try Benchmarks.parseAsRoot(arguments)
        #expect(throws: (any Error).self) { try command.run() }
    }
}
