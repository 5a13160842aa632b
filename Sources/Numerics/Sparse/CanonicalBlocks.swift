internal import CKernels

/// Blocks in canonical block-CSR form, on the way from a dense matrix, foreign arrays or a file to the packed layout.
internal struct CanonicalBlocks: ~Copyable {
    let rows: Int
    let columns: Int
    let shape: BlockShape
    let offsets: AlignedBuffer<UInt32>
    let blockColumns: AlignedBuffer<UInt32>
    /// [blocks][R][C]; empty where codes come instead.
    let values: AlignedBuffer<Float>

    var blockCount: Int { blockColumns.count }

    /// Inputs of a sparse matrix: packing needs some numbers for each.
    static let mostColumns = 1 << 24

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
        try Self.check(values: values.count, ofBlocks: blockColumns.count, shape)
        if let wrong = values.firstIndex(where: { !$0.isFinite }) { throw .notFinite(what: "values", row: wrong, column: 0) }
        let structure = try CanonicalBlocks(rows: rows, columns: columns, shape: shape, offsets: offsets, blockColumns: blockColumns)
        try structure.checkPadding(values)
        self.init(structure, values: AlignedBuffer(copying: values.span))
    }

    private init(_ structure: consuming CanonicalBlocks, values: consuming AlignedBuffer<Float>) {
        (rows, columns, shape) = (structure.rows, structure.columns, structure.shape)
        offsets = structure.offsets
        blockColumns = structure.blockColumns
        self.values = values
    }

    /// The same without values.
    init<Index: FixedWidthInteger>(
        rows: Int, columns: Int, shape: BlockShape, offsets: [Index], blockColumns: [Index]
    ) throws(NumericsError) {
        try Self.checkStructure(rows: rows, columns: columns, shape: shape, offsets: offsets, blockColumns: blockColumns)
        (self.rows, self.columns, self.shape) = (rows, columns, shape)
        self.offsets = Self.narrowed(offsets)
        self.blockColumns = Self.narrowed(blockColumns)
        self.values = AlignedBuffer(unfilledCount: 0)
    }

    /// - Throws: `NumericsError.shapeMismatch` unless there are as many values as blocks have.
    static func check(values: Int, ofBlocks blocks: Int, _ shape: BlockShape) throws(NumericsError) {
        let count = try checkedProduct(blocks, shape.rows * shape.columns, what: "weights of blocks")
        guard values == count else {
            throw .shapeMismatch(what: "values of \(blocks) blocks of \(shape)", expected: "\(count)", found: "\(values)")
        }
    }

    private static func checkStructure<Index: FixedWidthInteger>(
        rows: Int, columns: Int, shape: BlockShape, offsets: [Index], blockColumns: [Index]
    ) throws(NumericsError) {
        try checkSize(rows: rows, columns: columns)
        let strips = shape.strips(outputs: rows), across = shape.across(inputs: columns), count = blockColumns.count
        guard offsets.count - 1 == strips else {
            throw .shapeMismatch(what: "row offsets", expected: "\(strips) + 1", found: "\(offsets.count)")
        }
        guard offsets[0] == 0, offsets[strips] == count, count < UInt32.max else {
            throw .invalidStructure(what: "row offsets", expected: "from 0 to \(count)", found: "\(offsets[0]) to \(offsets[strips])")
        }
        for strip in 0..<strips {
            let (first, next) = (offsets[strip], offsets[strip + 1])
            guard first <= next, next <= count else {
                throw .invalidStructure(what: "row offset \(strip + 1)", expected: "in \(first)...\(count)", found: "\(next)")
            }
            var least = 0
            for block in Int(first)..<Int(next) {
                let column = blockColumns[block]
                guard column >= least, column < across else {
                    throw .invalidStructure(
                        what: "column of block \(block) in strip \(strip)", expected: "ascending, in \(least)..<\(across)", found: "\(column)")
                }
                least = Int(column) + 1
            }
        }
    }

    /// Weights of blocks beyond the matrix would take part in sums of codes.
    ///
    /// - Throws: `NumericsError.outOfRange` where one is not 0.
    func checkPadding<Weight: Numeric>(_ weights: [Weight]) throws(NumericsError) {
        let (r, c) = (shape.rows, shape.columns), strips = shape.strips(outputs: rows)
        guard rows % r != 0 || columns % c != 0 else { return }
        for strip in 0..<strips {
            for block in Int(offsets.baseAddress[strip])..<Int(offsets.baseAddress[strip + 1]) {
                let column = Int(blockColumns.baseAddress[block]) * c
                guard (strip + 1) * r > rows || column + c > columns else { continue }
                for weight in 0..<r * c where strip * r + weight / c >= rows || column + weight % c >= columns {
                    guard weights[block * r * c + weight] == 0 else {
                        throw .outOfRange(
                            what: "weight of block \(block) beyond the matrix", allowed: "0", found: "\(weights[block * r * c + weight])")
                    }
                }
            }
        }
    }

    /// - Throws: `NumericsError.outOfRange` for an empty matrix or one of too many inputs.
    static func checkSize(rows: Int, columns: Int) throws(NumericsError) {
        guard rows >= 1, columns >= 1, columns <= mostColumns, rows <= Int(UInt32.max) else {
            throw .outOfRange(what: "sparse weights", allowed: "1×1 to \(UInt32.max)×\(mostColumns)", found: "\(rows)×\(columns)")
        }
    }

    private static func narrowed<Index: FixedWidthInteger>(_ numbers: [Index]) -> AlignedBuffer<UInt32> {
        let narrow = AlignedBuffer<UInt32>(unfilledCount: numbers.count)
        for (index, number) in numbers.enumerated() { narrow.baseAddress[index] = UInt32(truncatingIfNeeded: number) }
        return narrow
    }
}

/// int8 codes of canonical blocks, [blocks][R][C], with a scale for each output.
internal struct BlockCodes: ~Copyable {
    let codes: AlignedBuffer<Int8>
    let scales: AlignedBuffer<Float>

    /// The largest magnitude of each output, or of all with one scale, maps to 127.
    init(quantizing blocks: borrowing CanonicalBlocks, sharesScale: Bool) {
        var largest: Float = 0
        if sharesScale, blocks.values.count > 0 {
            ck_active_kernels().pointee.row_absmax_f32(blocks.values.baseAddress, 1, blocks.values.count, blocks.values.count, &largest)
        }
        codes = AlignedBuffer(unfilledCount: blocks.values.count)
        scales = AlignedBuffer(unfilledCount: blocks.rows)
        ck_sparse_quantize(
            blocks.rows, blocks.shape.rows, blocks.shape.columns, blocks.offsets.baseAddress, blocks.values.baseAddress, largest, scales.baseAddress,
            codes.baseAddress)
    }

    /// Codes and scales that come from elsewhere, one scale for each output or for all.
    ///
    /// - Throws: `NumericsError.shapeMismatch` for other counts, `.outOfRange` for a code of −128 or one other than 0 beyond the matrix, `.notFinite`
    ///   for a scale.
    init(_ codes: [Int8], scales: [Float], of blocks: borrowing CanonicalBlocks) throws(NumericsError) {
        try CanonicalBlocks.check(values: codes.count, ofBlocks: blocks.blockCount, blocks.shape)
        try checkScales(scales, outputs: blocks.rows)
        try checkSparseCodes(codes)
        try blocks.checkPadding(codes)
        self.codes = AlignedBuffer(copying: codes.span)
        self.scales = AlignedBuffer(unfilledCount: blocks.rows)
        for n in 0..<blocks.rows { self.scales.baseAddress[n] = scales[scales.count == 1 ? 0 : n] }
    }
}

/// - Throws: `NumericsError.outOfRange` for a code of −128, which kernels of sparse weights do not take.
internal func checkSparseCodes(_ codes: [Int8]) throws(NumericsError) {
    if let wrong = codes.firstIndex(of: -128) {
        throw .outOfRange(what: "code \(wrong) of sparse weights", allowed: "−127…127", found: "-128")
    }
}

/// - Throws: `NumericsError.shapeMismatch` unless there is one scale for all or one for each output, `.notFinite` for NaN and infinity.
internal func checkScales(_ scales: [Float], outputs: Int) throws(NumericsError) {
    guard scales.count == outputs || scales.count == 1 else {
        throw .shapeMismatch(what: "scales", expected: "\(outputs), or one for all", found: "\(scales.count)")
    }
    if let wrong = scales.firstIndex(where: { !$0.isFinite }) { throw .notFinite(what: "scales", row: wrong, column: 0) }
}

private func withMaskBytes<Result>(_ mask: WeightMask?, _ body: (UnsafePointer<UInt8>?) -> Result) -> Result {
    mask?.keeps.withUnsafeBufferPointer { body($0.baseAddress) } ?? body(nil)
}
