@testable import CompactNumerics
import Testing

@Suite struct NMSparseTests {
    @Test(arguments: NMSparsity.all, [(1, 9), (7, 40), (33, 65)]) func float32LayersAreTheProduct(sparsity: NMSparsity, shape: (Int, Int)) throws {
        var generator = SeededGenerator()
        let (n, k) = shape
        for m in [1, 2, 6, 13] {
            let x = generator.matrix(m, k), linear = try Linear(weight: generator.matrix(n, k), bias: generator.numbers(n))
            let layer = try NMSparseLinear(linear, sparsity: sparsity), y = layer(x)
            #expect(worstError(y, reference(x, layer.denseWeight(), linear.bias), terms: k) <= 1, "seed \(generator.seed)")
            for threads in [2, 5] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == y.bits) }
        }
    }

    @Test(arguments: NMSparsity.all) func int8LayersAreNear(sparsity: NMSparsity) throws {
        var generator = SeededGenerator()
        let linear = try Linear(weight: generator.matrix(37, 150), bias: generator.numbers(37), activation: .relu)
        let float32 = try NMSparseLinear(linear, sparsity: sparsity), int8 = try NMSparseLinear(linear, sparsity: sparsity, values: .int8)
        for m in [1, 5, 40] {
            let x = generator.matrix(m, 150), expected = float32(x), y = int8(x)
            var (error, size) = (0.0, 0.0)
            for row in 0..<m {
                for output in 0..<37 {
                    let difference = Double(y[row, output] - expected[row, output])
                    error += difference * difference
                    size += Double(expected[row, output]) * Double(expected[row, output])
                }
            }
            #expect(error <= 4e-4 * size, "seed \(generator.seed)")
            for threads in [2, 3] { #expect(int8(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == y.bits) }
        }
        #expect(int8(Matrix(rows: 0, columns: 150)).rows == 0)
    }

    @Test func packsWhatTheMaskKeeps() throws {
        let dense = try Matrix(rows: 2, columns: 6, elements: [1, 2, 3, 4, 5, 6, -7, 8, -9, 10, -11, 12])
        let mask = try WeightMask(rows: 2, columns: 6, keeps: [true, false, false, true, false, true, false, false, true, false, true, true])
        let matrix = try NMSparseMatrix(dense, mask: mask)
        #expect(matrix.dense().bits == [1, 0, 0, 4, 0, 6, 0, 0, -9, 0, -11, 12].map { Float($0).bitPattern })
        // 8 outputs · 16 inputs: half of the floats, and 4 bits for each.
        #expect(matrix.byteCount == 8 * 8 * 4 + 8 * 4)
        let byMagnitude = try NMSparseMatrix(dense, sparsity: .fourOfEight, values: .int8)
        #expect(abs(byMagnitude.dense()[0, 2] - 3) <= 6.0 / 127 / 2)
        #expect(byMagnitude.dense()[0, 0] == 0 && byMagnitude.dense()[0, 1] == 0)
    }

    @Test func wrongInputIsNamed() throws {
        let dense = Matrix(rows: 2, columns: 8) { Float($0 + $1 + 1) }
        #expect(throws: NumericsError.unknown(what: "N:M sparsity", allowed: ["2:4", "4:8"], found: "1:4")) { try NMSparsity(kept: 1, group: 4) }
        var keeps = [Bool](repeating: false, count: 16)
        for place in [12, 13, 15] { keeps[place] = true }
        let crowded = try WeightMask(rows: 2, columns: 8, keeps: keeps)
        #expect(
            throws: NumericsError.outOfRange(what: "weights that output 1 keeps of inputs 4..<8", allowed: "at most 2", found: "3")
        ) { try NMSparseMatrix(dense, mask: crowded) }
        #expect(throws: NumericsError.self) { try NMSparseMatrix(dense, mask: WeightMask(nonzerosOf: Matrix(rows: 2, columns: 7))) }
        #expect(throws: NumericsError.self) { try NMSparseMatrix(Matrix(rows: 0, columns: 8)) }
        #expect(throws: NumericsError.self) { try NMSparseMatrix(Matrix(rows: 1, columns: 65_537), values: .int8) }
        #expect(throws: NumericsError.notFinite(what: "weights", row: 0, column: 1)) {
            try NMSparseMatrix(Matrix(rows: 1, columns: 2, elements: [0, .nan]))
        }
        #expect(throws: NumericsError.self) { try NMSparseLinear(weight: NMSparseMatrix(dense), bias: [1]) }
    }
}
