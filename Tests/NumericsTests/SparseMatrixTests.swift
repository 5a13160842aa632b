import CompactNumerics
import Testing

@Suite struct SparseMatrixTests {
    @Test func shapesWithoutKernelsAreRefused() throws {
        for shape in BlockShape.all { #expect(try BlockShape(rows: shape.rows, columns: shape.columns) == shape) }
        for (rows, columns) in [(0, 0), (2, 2), (-1, 1), (1, 16), (16, 1)] {
            #expect { try BlockShape(rows: rows, columns: columns) } throws: { if case NumericsError.unknown = $0 { true } else { false } }
        }
    }

    /// Exactly round(sparsity · blocks) blocks are left out, those with the smallest norms.
    @Test(arguments: BlockShape.all, [0, 0.37, 0.5, 0.9, 1]) func theLargestBlocksStay(shape: BlockShape, sparsity: Double) throws {
        var generator = SeededGenerator()
        let weight = generator.matrix(37, 45)
        let matrix = try BlockSparseMatrix(weight, sparsity: sparsity, shape: shape), dense = matrix.dense()
        let strips = (37 + shape.rows - 1) / shape.rows, across = (45 + shape.columns - 1) / shape.columns
        #expect(matrix.blockCount == strips * across - Int((sparsity * Double(strips * across)).rounded()))
        var kept = [Double](), pruned = [Double]()
        for strip in 0..<strips {
            for column in 0..<across {
                var norm = 0.0, stored = 0.0
                for row in strip * shape.rows..<min(37, (strip + 1) * shape.rows) {
                    for k in column * shape.columns..<min(45, (column + 1) * shape.columns) {
                        norm += Double(weight[row, k]) * Double(weight[row, k])
                        stored += Double(abs(dense[row, k]))
                        #expect(dense[row, k] == weight[row, k] || dense[row, k] == 0)
                    }
                }
                if stored > 0 { kept.append(norm) } else { pruned.append(norm) }
            }
        }
        #expect(kept.count == matrix.blockCount, "seed \(generator.seed)")
        #expect((pruned.max() ?? 0) <= (kept.min() ?? .infinity) * 1.00001)
    }

    @Test func ofEqualWeightsTheFirstStay() throws {
        let dense = try CSRMatrix(Matrix(rows: 3, columns: 4) { row, column in row == 2 ? 5 : -1 }, sparsity: 0.5).dense()
        #expect(dense == (try Matrix(rows: 3, columns: 4, elements: [-1, -1, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5])))
    }

    @Test(arguments: BlockShape.all) func masksKeepWhatTheyMark(shape: BlockShape) throws {
        var generator = SeededGenerator()
        let weight = generator.matrix(18, 22)
        let keeps = (0..<18 * 22).map { _ in Int.random(in: 0..<4, using: &generator) == 0 }
        let mask = try WeightMask(rows: 18, columns: 22, keeps: keeps)
        #expect(mask.keptCount == keeps.filter { $0 }.count && mask[0, 3] == keeps[3])
        let dense = try BlockSparseMatrix(weight, mask: mask, shape: shape).dense()
        for index in keeps.indices { #expect(dense[index / 22, index % 22] == (keeps[index] ? weight[index / 22, index % 22] : 0)) }
        #expect(throws: NumericsError.self) { try BlockSparseMatrix(Matrix(rows: 18, columns: 21), mask: mask, shape: shape) }
        #expect(throws: NumericsError.self) { try WeightMask(rows: 2, columns: 2, keeps: [true]) }
    }

    @Test(arguments: [-0.1, 1.1, .nan, .infinity]) func impossibleSparsity(sparsity: Double) {
        #expect { try CSRMatrix(Matrix(rows: 2, columns: 2), sparsity: sparsity) } throws: {
            if case NumericsError.outOfRange = $0 { true } else { false }
        }
    }

    @Test func wrongWeights() {
        for value: Float in [.nan, .infinity] {
            var weight = Matrix(rows: 3, columns: 3)
            weight[1, 2] = value
            #expect(throws: NumericsError.notFinite(what: "weights", row: 1, column: 2)) { try CSRMatrix(weight, sparsity: 0.5) }
        }
        for (rows, columns) in [(0, 3), (3, 0)] {
            #expect(throws: NumericsError.self) { try CSRMatrix(Matrix(rows: rows, columns: columns), sparsity: 0.5) }
        }
        #expect(throws: NumericsError.self) { try CSRMatrix(Matrix(rows: 1, columns: 65537), sparsity: 0.5, values: .int8) }
    }

    /// Arrays of a 3×4 matrix, each wrong in one way.
    @Test func foreignArraysAreChecked() throws {
        func make<Index: FixedWidthInteger>(_ offsets: [Index], _ columns: [Index], _ values: [Float]) throws -> CSRMatrix {
            try CSRMatrix(rows: 3, columns: 4, rowOffsets: offsets, columnIndices: columns, storedValues: values)
        }
        let right = try Matrix(rows: 3, columns: 4, elements: [0, 1, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0])
        #expect(try make([0, 2, 2, 3] as [Int8], [1, 3, 0], [1, 2, 3]).dense() == right)
        #expect(try make([0, 2, 2, 3] as [UInt16], [1, 3, 0], [1, 2, 3]).dense() == right)
        #expect(try make([0, 2, 2, 3] as [UInt32], [1, 3, 0], [1, 2, 3]).dense() == right)
        #expect(try make([0, 2, 2, 3] as [Int], [1, 3, 0], [1, 2, 3]).dense() == right)
        let wrong: [([Int], [Int], [Float])] = [
            ([0, 2, 3], [1, 3, 0], [1, 2, 3]), ([1, 2, 2, 3], [1, 3, 0], [1, 2, 3]), ([0, 2, 1, 3], [1, 3, 0], [1, 2, 3]),
            ([0, 2, 2, 4], [1, 3, 0], [1, 2, 3]), ([0, 2, 2, 2], [1, 3, 0], [1, 2, 3]), ([0, -1, 2, 3], [1, 3, 0], [1, 2, 3]),
            ([0, 5, 2, 3], [1, 3, 0], [1, 2, 3]), ([0, 2, 2, 3], [1, 4, 0], [1, 2, 3]), ([0, 2, 2, 3], [-1, 3, 0], [1, 2, 3]),
            ([0, 2, 2, 3], [3, 1, 0], [1, 2, 3]), ([0, 2, 2, 3], [1, 1, 0], [1, 2, 3]), ([0, 2, 2, 3], [1, 3, 0], [1, 2]),
            ([0, 2, 2, 3], [1, 3, 0], [1, .nan, 3]), ([0, 2, 2, 3], [1, .max, 0], [1, 2, 3]), ([], [], []),
        ]
        for (offsets, columns, values) in wrong {
            #expect(throws: NumericsError.self, "\(offsets) \(columns) \(values)") { try make(offsets, columns, values) }
        }
        #expect(throws: NumericsError.self) {
            try CSRMatrix(rows: Int.max / 2, columns: 4, rowOffsets: [0, 0], columnIndices: [], storedValues: [])
        }
    }

    @Test func bytesAreFewer() throws {
        var generator = SeededGenerator(seed: 3)
        let weight = generator.matrix(256, 512)
        for shape in BlockShape.all {
            let matrix = try BlockSparseMatrix(weight, sparsity: 0.9, shape: shape)
            let stored = matrix.blockCount * shape.rows * shape.columns
            #expect(matrix.byteCount >= stored * 4 + matrix.blockCount * 2 && matrix.byteCount < stored * 4 + matrix.blockCount * 2 + 20_000)
            #expect(matrix.byteCount < weight.count * 4 / 4)
            #expect(try BlockSparseMatrix(weight, sparsity: 0.9, shape: shape, values: .int8).byteCount < matrix.byteCount)
        }
    }
}

@Suite struct SparseLinearTests {
    @Test(arguments: BlockShape.all, [1, 3, 40, 70]) func isTheProductWithThePrunedWeights(shape: BlockShape, m: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, 150), linear = try Linear(weight: generator.matrix(35, 150), bias: generator.numbers(35))
        for (sparsity, expectedRows) in [(0.0, 1), (0.8, 16), (0.8, 64), (1.0, 64)] {
            let layer = try SparseLinear(linear, sparsity: sparsity, shape: shape, expectedRows: expectedRows)
            let y = layer(x)
            #expect(worstError(y, reference(x, layer.denseWeight(), linear.bias), terms: 150) <= 1, "\(shape) \(sparsity) seed \(generator.seed)")
            for threads in [2, 3] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == y.bits) }
            var workspace = Workspace(), transposed = Matrix(rows: 35, columns: m)
            layer.applyFeatureMajor(x.transposed(), into: &transposed, workspace: &workspace)
            #expect(transposed.transposed().bits == y.bits)
            var rectified = layer
            rectified.activation = .relu
            #expect(rectified(x).bits == y.withUnsafeBufferPointer { $0.map { ($0 < 0 ? 0 : $0).bitPattern } })
        }
    }

    @Test(arguments: BlockShape.all, [1, 5, 33]) func int8IsNearTheProduct(shape: BlockShape, m: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, 100), linear = try Linear(weight: generator.matrix(21, 100), bias: generator.numbers(21))
        let layer = try SparseLinear(linear, sparsity: 0.6, shape: shape, values: .int8)
        let y = layer(x), weight = layer.denseWeight()
        for row in 0..<m {
            let values = (0..<100).map { x[row, $0] }
            let low = min(values.min()!, 0), high = max(values.max()!, 0), scale = (high - low) / 255, inverse = 1 / scale
            let zero = min(max((-low * inverse).rounded(.toNearestOrEven), 0), 255)
            let codes = values.map { min(max(($0 * inverse).rounded(.toNearestOrEven) + zero, 0), 255) }
            for output in 0..<21 {
                let sum = (0..<100).reduce(0.0) { $0 + Double(codes[$1] - zero) * Double(weight[output, $1]) }
                let expected = sum * Double(scale) + Double(linear.bias![output])
                #expect(abs(Double(y[row, output]) - expected) <= 1e-5 * (abs(expected) + 1), "\(shape), seed \(generator.seed)")
            }
        }
        for threads in [2, 3] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == y.bits) }
    }

    /// What was pruned contributes nothing, whatever it would be multiplied by.
    @Test(arguments: BlockShape.all, [1, 20]) func infinitiesAtPrunedInputsDoNotCount(shape: BlockShape, m: Int) throws {
        // Only inputs 0..<16 are stored.
        let weight = Matrix(rows: 16, columns: 64) { _, column in column < 16 ? 1 : 0 }
        let mask = try WeightMask(rows: 16, columns: 64, keeps: (0..<16 * 64).map { $0 % 64 < 16 })
        let layer = try SparseLinear(weight: BlockSparseMatrix(weight, mask: mask, shape: shape))
        let x = Matrix(rows: m, columns: 64) { row, column in column < 16 ? 1 : column % 2 == 0 ? .infinity : .nan }
        let y = layer(x)
        for row in 0..<m { for output in 0..<16 { #expect(y[row, output] == 16) } }
    }

    @Test func noRowsGiveNoRows() throws {
        let layer = try SparseLinear(Linear(weight: Matrix(rows: 3, columns: 32)), sparsity: 0.5)
        #expect(layer(Matrix(rows: 0, columns: 32)).rows == 0)
        #expect(throws: NumericsError.self) { try SparseLinear(weight: layer.weight, bias: [1]) }
    }
}
