internal import CKernels

/// Blocks in canonical block-CSR form, on the way from a dense matrix or foreign arrays to the packed layout.
internal struct CanonicalBlocks: ~Copyable {
    let rows: Int
    let columns: Int
    let shape: BlockShape
    let offsets: AlignedBuffer<UInt32>
    let blockColumns: AlignedBuffer<UInt32>
    /// [blocks][R][C]
    let values: AlignedBuffer<Float>

    var blockCount: Int { blockColumns.count }

    /// The blocks of `dense` that `keep` [strips, across] marks; weights that `mask` (if any) leaves out become zero.
    init(_ dense: Matrix, shape: BlockShape, keep: borrowing AlignedBuffer<UInt8>, mask: WeightMask?) throws(NumericsError) {
        let strips = shape.strips(outputs: dense.rows)
        let collect: (UnsafeMutablePointer<UInt32>?, UnsafeMutablePointer<UInt32>?, UnsafeMutablePointer<Float>?) -> Int = {
            [marks = keep.baseAddress] offsets, columns, values in
            dense.withUnsafeBufferPointer { elements in
                withMaskBytes(mask) { mask in
                    ck_sparse_collect(
                        elements.baseAddress!, mask, dense.columns, dense.rows, shape.rows, shape.columns, marks, offsets, columns, values)
                }
            }
        }
        let blocks = collect(nil, nil, nil)
        guard blocks < Int(UInt32.max) else {
            throw .outOfRange(what: "blocks of a sparse matrix", allowed: "fewer than 2³²", found: "\(blocks)")
        }
        offsets = AlignedBuffer(unfilledCount: strips + 1)
        blockColumns = AlignedBuffer(unfilledCount: blocks)
        values = AlignedBuffer(unfilledCount: blocks * shape.rows * shape.columns)
        (rows, columns, self.shape) = (dense.rows, dense.columns, shape)
        _ = collect(offsets.baseAddress, blockColumns.baseAddress, values.baseAddress)
    }

    /// Foreign arrays, checked: offsets from 0 on, never decreasing, ending with the number of columns; columns ascending within a
    /// strip and within the matrix; values of whole blocks, finite, [blocks][R][C].
    init<Index: FixedWidthInteger>(
        rows: Int, columns: Int, shape: BlockShape, offsets: [Index], blockColumns: [Index], values: [Float]
    ) throws(NumericsError) {
        let strips = shape.strips(outputs: rows), across = shape.across(inputs: columns)
        guard offsets.count == strips + 1 else {
            throw .shapeMismatch(what: "row offsets", expected: "\(strips + 1)", found: "\(offsets.count)")
        }
        let (count, overflow) = blockColumns.count.multipliedReportingOverflow(by: shape.rows * shape.columns)
        guard !overflow, values.count == count else {
            throw .shapeMismatch(what: "values of \(blockColumns.count) blocks of \(shape)", expected: "\(count)", found: "\(values.count)")
        }
        guard offsets[0] == 0, offsets[strips] == blockColumns.count, blockColumns.count < UInt32.max else {
            throw .invalidStructure(
                what: "row offsets", expected: "from 0 to \(blockColumns.count)", found: "\(offsets[0]) to \(offsets[strips])")
        }
        for strip in 0..<strips {
            guard offsets[strip] <= offsets[strip + 1] else {
                throw .invalidStructure(
                    what: "row offsets", expected: "offset \(strip + 1) of at least \(offsets[strip])", found: "\(offsets[strip + 1])")
            }
            var least = 0
            for block in Int(offsets[strip])..<Int(offsets[strip + 1]) {
                let column = blockColumns[block]
                guard column >= least, column < across else {
                    throw .invalidStructure(
                        what: "column of block \(block) in strip \(strip)", expected: "ascending, in \(least)..<\(across)", found: "\(column)")
                }
                least = Int(column) + 1
            }
        }
        if let wrong = values.firstIndex(where: { !$0.isFinite }) { throw .notFinite(what: "values", row: wrong, column: 0) }
        (self.rows, self.columns, self.shape) = (rows, columns, shape)
        self.offsets = AlignedBuffer(unfilledCount: offsets.count)
        self.blockColumns = AlignedBuffer(unfilledCount: blockColumns.count)
        self.values = AlignedBuffer(unfilledCount: values.count)
        for (index, offset) in offsets.enumerated() { self.offsets.baseAddress[index] = UInt32(offset) }
        for (index, column) in blockColumns.enumerated() { self.blockColumns.baseAddress[index] = UInt32(column) }
        self.values.baseAddress.update(from: values, count: values.count)
    }
}

private func withMaskBytes<Result>(_ mask: WeightMask?, _ body: (UnsafePointer<UInt8>?) -> Result) -> Result {
    mask?.keeps.withUnsafeBufferPointer { body($0.baseAddress) } ?? body(nil)
}
