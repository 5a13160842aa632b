import CKernels
import Testing

/// Row and column sums of codes are exact integers, at the extremes too.
@Suite struct CodeSumTests {
    /// The four kernels on the same bytes, beside plain loops in Int.
    private func check(_ bytes: [UInt8], rows: Int, columns: Int, stride: Int, _ place: Comment) {
        let unsigned = GuardedBuffer(bytes, offset: 3), signed = GuardedBuffer(bytes.map(Int8.init(bitPattern:)), offset: 5)
        var expectedRows = [[Int]](repeating: Array(repeating: 0, count: rows), count: 2)
        var expectedColumns = [[Int]](repeating: Array(repeating: 0, count: columns), count: 2)
        for r in 0..<rows {
            for c in 0..<columns {
                for (kind, code) in [Int(bytes[r * stride + c]), Int(Int8(bitPattern: bytes[r * stride + c]))].enumerated() {
                    expectedRows[kind][r] += code
                    expectedColumns[kind][c] += code
                }
            }
        }
        for set in InstructionSet.available {
            let table = set.kernels
            let rowSums = [GuardedBuffer<Int32>(count: rows), GuardedBuffer<Int32>(count: rows)]
            let columnSums = [GuardedBuffer<Int32>(count: columns, offset: 1), GuardedBuffer<Int32>(count: columns, offset: 1)]
            table.row_sums_s32_u8(unsigned.base, rows, columns, stride, rowSums[0].base)
            table.row_sums_s32_s8(signed.base, rows, columns, stride, rowSums[1].base)
            table.column_sums_s32_u8(unsigned.base, rows, columns, stride, columnSums[0].base)
            table.column_sums_s32_s8(signed.base, rows, columns, stride, columnSums[1].base)
            for kind in 0..<2 {
                #expect(rowSums[kind].values.map(Int.init) == expectedRows[kind], "\(set.testDescription) \(place)")
                #expect(columnSums[kind].values.map(Int.init) == expectedColumns[kind], "\(set.testDescription) \(place)")
                #expect(rowSums[kind].guardsAreIntact && columnSums[kind].guardsAreIntact)
            }
        }
    }

    @Test func everyTail() {
        var generator = SplitMix64(stream: 21)
        for columns in Array(0...100) + [128, 161] {
            let rows = columns % 6, stride = columns + columns % 4
            let bytes = (0..<rows * stride).map { _ in UInt8.random(in: 0...255, using: &generator) }
            check(bytes, rows: rows, columns: columns, stride: stride, "\(columns) columns, seed \(testSeed)")
        }
    }

    /// Column sums fold int16 into int32 every 128 rows: extremes at each fold and one row to either side.
    @Test(arguments: [UInt8(255), 128, 127, 129, 0])
    func extremesAtTheFolds(byte: UInt8) {
        for rows in [1, 127, 128, 129, 255, 256, 257, 385] {
            check(Array(repeating: byte, count: rows * 83), rows: rows, columns: 83, stride: 83, "\(rows) rows of \(byte)")
        }
    }

    /// The longest row that is promised: 255 · 2²³ is just below 2³¹.
    @Test func longestRow() {
        let columns = 1 << 23
        for byte: UInt8 in [255, 128, 127] {
            let codes = GuardedBuffer<UInt8>(count: columns)
            codes.elements.update(repeating: byte)
            let signed = UnsafeRawPointer(codes.base).assumingMemoryBound(to: Int8.self)
            for set in InstructionSet.available {
                var sum: Int32 = 0
                set.kernels.row_sums_s32_u8(codes.base, 1, columns, columns, &sum)
                #expect(Int(sum) == Int(byte) * columns)
                set.kernels.row_sums_s32_s8(signed, 1, columns, columns, &sum)
                #expect(Int(sum) == Int(Int8(bitPattern: byte)) * columns)
                set.kernels.column_sums_s32_u8(codes.base, columns, 1, 1, &sum)
                #expect(Int(sum) == Int(byte) * columns)
            }
        }
    }
}
