import CompactNumerics
import Testing

@Suite struct AlignedBufferTests {
    @Test(arguments: [0, 1, 15, 16, 17, 1000])
    func beginsAtALineAndIsZero(count: Int) {
        let buffer = AlignedBuffer<Float>(count: count)
        #expect(buffer.count == count)
        #expect(buffer.byteCount == 4 * count)
        #expect(UInt(bitPattern: buffer.baseAddress) % 64 == 0)
        let sum = buffer.withUnsafeBufferPointer { $0.reduce(Float(0)) { $0 + abs($1) } }
        #expect(sum == 0)
    }

    @Test func bytesBehindTheLastElementAreZero() {
        // Fills freed memory with ones first, so that zeros are not there by luck.
        for _ in 0..<8 {
            var dirty = AlignedBuffer<UInt8>(count: 64)
            var bytes = dirty.mutableSpan
            for index in 0..<64 { bytes[index] = 0xFF }
        }
        let buffer = AlignedBuffer<UInt8>(unfilledCount: 5)
        let tail = UnsafeBufferPointer(start: buffer.baseAddress + 5, count: 59)
        #expect(tail.allSatisfy { $0 == 0 })
    }

    @Test func spansReadWhatTheyWrote() {
        var buffer = AlignedBuffer<Int32>(count: 100)
        var writing = buffer.mutableSpan
        for index in 0..<100 { writing[index] = Int32(index * index) }
        let copy = AlignedBuffer(copying: buffer.span)
        buffer.withUnsafeMutableBufferPointer { $0[7] = -1 }
        #expect(buffer.span[7] == -1)
        #expect(copy.span[7] == 49)
        #expect(copy.span[99] == 9801)
    }

    @Test func impossibleCountsStop() async {
        await #expect(processExitsWith: .failure) { _ = AlignedBuffer<Float>(count: -1) }
        await #expect(processExitsWith: .failure) { _ = AlignedBuffer<Float>(count: Int.max / 2) }
    }
}

@Suite struct MatrixTests {
    /// Element [r, c] is 100·r + c.
    private func numbered(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(rows: rows, columns: columns) { Float(100 * $0 + $1) }
    }

    @Test func elementsAreRowMajor() throws {
        let matrix = try Matrix(rows: 2, columns: 3, elements: [0, 1, 2, 100, 101, 102])
        #expect(matrix == numbered(2, 3))
        #expect(matrix[1, 2] == 102)
        #expect(matrix.count == 6)
        #expect(matrix.span[4] == 101)
        let row = matrix.row(1)
        #expect(row.count == 3)
        #expect(row[0] == 100)
        #expect(matrix.withUnsafeBufferPointer { Array($0) } == [0, 1, 2, 100, 101, 102])
    }

    @Test func collectionsOfAnyKind() throws {
        let matrix = try Matrix(rows: 1, columns: 4, elements: (0..<4).lazy.map(Float.init))
        #expect(matrix == (try Matrix(rows: 1, columns: 4, elements: [0, 1, 2, 3])))
    }

    @Test func wrongCountsThrow() {
        let error = #expect(throws: NumericsError.self) { try Matrix(rows: 2, columns: 3, elements: [1, 2, 3, 4, 5]) }
        #expect(error?.description == "elements of a 2×3 matrix: expected 6, found 5")
        #expect(throws: NumericsError.self) { try Matrix(rows: -2, columns: -3, elements: [1, 2, 3, 4, 5, 6]) }
        #expect(throws: NumericsError.self) { try Matrix(rows: .max, columns: 2, elements: []) }
    }

    @Test func aCopyKeepsItsElements() {
        var first = numbered(3, 3)
        let copy = first
        first[1, 1] = -1
        #expect(first[1, 1] == -1)
        #expect(copy[1, 1] == 101)
        let second = first
        var span = first.mutableSpan
        span[0] = 7
        #expect(first[0, 0] == 7)
        #expect(second[0, 0] == 0)
        let third = first
        first.withUnsafeMutableBufferPointer { $0[8] = 9 }
        #expect(first[2, 2] == 9)
        #expect(third == third && third[2, 2] == 202)
    }

    @Test func aLoneMatrixIsWrittenInPlace() {
        var matrix = numbered(4, 4)
        let before = matrix.withUnsafeBufferPointer { $0.baseAddress }
        matrix[0, 0] = 5
        #expect(matrix.withUnsafeBufferPointer { $0.baseAddress } == before)
    }

    @Test(arguments: [(1, 1), (1, 40), (40, 1), (16, 16), (17, 33), (50, 7)])
    func transposition(rows: Int, columns: Int) {
        let matrix = numbered(rows, columns)
        let transposed = matrix.transposed()
        #expect(transposed == Matrix(rows: columns, columns: rows) { Float(100 * $1 + $0) })
        #expect(transposed.transposed() == matrix)
    }

    @Test(arguments: [(0, 0), (0, 5), (5, 0), (0, Int.max), (Int.max, 0)])
    func sizesOfZero(rows: Int, columns: Int) throws {
        let matrix = Matrix(rows: rows, columns: columns)
        #expect(matrix.count == 0)
        #expect(matrix.span.count == 0)
        #expect(matrix.transposed().rows == columns)
        #expect(matrix.transposed().transposed() == matrix)
        #expect(matrix == Matrix(rows: rows, columns: columns) { _, _ in 1 })
        #expect(matrix == (try Matrix(rows: rows, columns: columns, elements: [])))
        #expect(matrix.firstNonFinite == nil)
        #expect(matrix.description == "Matrix \(rows)×\(columns) []")
    }

    @Test func equalityIsThatOfIEEE() {
        let zero = Matrix(rows: 1, columns: 2)
        #expect(zero == Matrix(rows: 1, columns: 2) { _, _ in -0.0 })
        #expect(zero != Matrix(rows: 2, columns: 1))
        let nan = Matrix(rows: 1, columns: 1) { _, _ in .nan }
        #expect(nan != nan)
    }

    @Test func findsTheFirstNonFinite() {
        var matrix = numbered(4, 5)
        #expect(matrix.firstNonFinite == nil)
        matrix[3, 1] = .nan
        matrix[2, 4] = -.infinity
        let found = matrix.firstNonFinite
        #expect(found?.row == 2 && found?.column == 4)
    }

    @Test func descriptionIsShort() {
        #expect(numbered(1, 2).description == "Matrix 1×2 [0.0, 1.0]")
        #expect(Matrix(rows: 20, columns: 10).description == "Matrix 20×10 [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, …]")
    }

    @Test func wrongIndicesStop() async {
        await #expect(processExitsWith: .failure) { _ = Matrix(rows: 2, columns: 3)[1, 3] }
        await #expect(processExitsWith: .failure) { _ = Matrix(rows: 2, columns: 3)[-1, 0] }
        await #expect(processExitsWith: .failure) { _ = Matrix(rows: 2, columns: 3).row(2) }
        await #expect(processExitsWith: .failure) { _ = Matrix(rows: .max, columns: 2) }
    }
}

@Suite struct NumericsErrorTests {
    @Test func eachIsOneLineThatNamesExpectedAndFound() {
        let errors: [(NumericsError, String)] = [
            (.shapeMismatch(what: "bias", expected: "10", found: "9"), "bias: expected 10, found 9"),
            (.notDivisible(what: "K", value: 100, by: 32), "K: expected a multiple of 32, found 100"),
            (.outOfRange(what: "sparsity", allowed: "0…1", found: "1.5"), "sparsity: expected 0…1, found 1.5"),
            (.notFinite(what: "weights", row: 3, column: 4), "weights: expected finite numbers, found NaN or infinity at row 3, column 4"),
            (.unknown(what: "format", allowed: ["w8a8", "csr"], found: "w9"), "format: expected one of w8a8, csr, found w9"),
            (.invalidStructure(what: "row offsets", expected: "0 first", found: "1"), "row offsets: expected 0 first, found 1"),
        ]
        for (error, text) in errors { #expect(error.description == text) }
    }
}
