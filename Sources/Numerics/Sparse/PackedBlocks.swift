internal import CKernels

/// One part of a sparse matrix, all inputs and a range of the outputs: the arrays of `ck_sparse_f32` or `ck_sparse_s8`, immutable after
/// packing. A matrix is cut into parts so that threads can share a product of few rows.
internal final class PackedBlocks: Sendable {
    /// The kernels that it was packed for.
    nonisolated(unsafe) let config: Config
    let outputs: Int
    let sliceCount: Int
    let sliceInputs: Int
    let runStarts: AlignedBuffer<UInt32>
    let runs: AlignedBuffer<ck_sparse_run>
    let strips: AlignedBuffer<UInt32>
    let columns: AlignedBuffer<UInt16>
    // Of the two kinds of values, one is empty.
    let floats: AlignedBuffer<Float>
    let codes: AlignedBuffer<Int8>
    let scales: AlignedBuffer<Float>
    let sums: AlignedBuffer<Int32>

    var byteCount: Int {
        runStarts.byteCount + runs.byteCount + strips.byteCount + columns.byteCount + floats.byteCount + codes.byteCount + scales.byteCount
            + sums.byteCount
    }

    /// The strips of each part. Runs of equal strips are shorter in a part than in the whole, which costs some percent where rows are
    /// few to a strip; with many rows threads take ranges of those instead.
    static func parts(_ blocks: borrowing CanonicalBlocks, expectedRows: Int) -> [Range<Int>] {
        let strips = blocks.shape.strips(outputs: blocks.rows), most = expectedRows >= 128 ? 2 : 8
        return Parallelism(threads: max(1, min(most, strips * blocks.shape.rows / 128))).ranges(count: strips, multiple: 1)
    }

    init(packing blocks: borrowing CanonicalBlocks, strips part: Range<Int>, expectedRows: Int) {
        let (k, shape) = (blocks.columns, blocks.shape), offsets = blocks.offsets.baseAddress + part.lowerBound
        let n = min(part.count * shape.rows, blocks.rows - part.lowerBound * shape.rows)
        outputs = n
        let config = ck_active_kernels().pointee.spmm_f32_f32_block
        let slice = config.pointee.slice_inputs(k, shape.rows, shape.columns, expectedRows)
        let scratch = AlignedBuffer<UInt32>(unfilledCount: ck_sparse_pack_scratch(k, n, shape.rows))
        var source = ck_sparse_blocks(
            inputs: k, outputs: n, block_rows: shape.rows, block_columns: shape.columns, slice_inputs: slice, offsets: offsets,
            columns: blocks.blockColumns.baseAddress)
        let sizes = config.pointee.sizes(&source, scratch.baseAddress)
        self.config = .float32(config)
        sliceCount = sizes.slices
        sliceInputs = slice
        runStarts = AlignedBuffer(unfilledCount: sizes.slices + 1)
        runs = AlignedBuffer(unfilledCount: sizes.runs)
        strips = AlignedBuffer(unfilledCount: sizes.strips)
        columns = AlignedBuffer(unfilledCount: sizes.columns)
        floats = AlignedBuffer(unfilledCount: sizes.values)
        codes = AlignedBuffer(unfilledCount: 0)
        scales = AlignedBuffer(unfilledCount: 0)
        sums = AlignedBuffer(unfilledCount: 0)
        var arrays = ck_sparse_arrays(
            run_starts: runStarts.baseAddress, runs: runs.baseAddress, strips: strips.baseAddress, columns: columns.baseAddress)
        config.pointee.pack(&source, blocks.values.baseAddress, scratch.baseAddress, &arrays, floats.baseAddress)
    }

    /// int8 codes with a scale per output.
    init(packing blocks: borrowing CanonicalBlocks, codes canonical: borrowing BlockCodes, strips part: Range<Int>) {
        let (k, shape) = (blocks.columns, blocks.shape), offsets = blocks.offsets.baseAddress + part.lowerBound
        let n = min(part.count * shape.rows, blocks.rows - part.lowerBound * shape.rows)
        outputs = n
        let canonicalCodes = canonical.codes.baseAddress
        scales = AlignedBuffer(unfilledCount: n)
        scales.baseAddress.update(from: canonical.scales.baseAddress + part.lowerBound * shape.rows, count: n)
        let scratch = AlignedBuffer<UInt32>(unfilledCount: ck_sparse_pack_scratch(k, n, shape.rows))
        let config = ck_active_kernels().pointee.spmm_f32_u8_s8block
        sliceCount = 1
        sliceInputs = roundUp(k, toMultipleOf: shape.columns)
        var source = ck_sparse_blocks(
            inputs: k, outputs: n, block_rows: shape.rows, block_columns: shape.columns, slice_inputs: sliceInputs, offsets: offsets,
            columns: blocks.blockColumns.baseAddress)
        let sizes = config.pointee.sizes(&source, canonicalCodes, scratch.baseAddress)
        self.config = .int8(config)
        runStarts = AlignedBuffer(unfilledCount: sizes.slices + 1)
        runs = AlignedBuffer(unfilledCount: sizes.runs)
        strips = AlignedBuffer(unfilledCount: sizes.strips)
        columns = AlignedBuffer(unfilledCount: sizes.columns)
        floats = AlignedBuffer(unfilledCount: 0)
        codes = AlignedBuffer(unfilledCount: sizes.values)
        sums = AlignedBuffer(unfilledCount: n)
        var arrays = ck_sparse_arrays(
            run_starts: runStarts.baseAddress, runs: runs.baseAddress, strips: strips.baseAddress, columns: columns.baseAddress)
        config.pointee.pack(&source, canonicalCodes, scratch.baseAddress, &arrays, codes.baseAddress, sums.baseAddress)
    }

    enum Config {
        case float32(UnsafePointer<ck_sparse_f32_config>)
        case int8(UnsafePointer<ck_sparse_s8_config>)
    }

    /// Rows that the kernel takes at a time, for blocks of `blockRows` outputs.
    func tileRows(blockRows: Int) -> Int {
        switch config {
        case .float32(let config): config.pointee.tile(blockRows)
        case .int8(let config): config.pointee.tile(blockRows)
        }
    }

    /// Bytes of scratch memory of the kernel for several rows.
    func workspaceBytes(inputs: Int, shape: BlockShape) -> Int {
        var structure = structure(inputs: inputs, shape: shape)
        return switch config {
        case .float32(let config): config.pointee.workspace_bytes(&structure)
        case .int8(let config): config.pointee.workspace_bytes(&structure)
        }
    }

    /// Up to how many rows the kernel for one row, called for each, takes less time than that for several. Slices of float32 weights suit several rows.
    func fewRows(inputs: Int, outputs: Int, shape: BlockShape, storedWeights: Int) -> Int {
        switch config {
        case .float32: 1
        case .int8(let config): ck_sparse_few_rows(config.pointee.costs, shape.rows, shape.columns, inputs, outputs, storedWeights)
        }
    }

    /// Bytes of scratch memory of the kernel for one row.
    func vectorWorkspaceBytes(inputs: Int) -> Int {
        switch config {
        case .float32: 0
        case .int8(let config): config.pointee.vector_workspace_bytes(inputs)
        }
    }

    /// The arrays as the C structures see them; valid while the object lives.
    func structure(inputs: Int, shape: BlockShape) -> ck_sparse_structure {
        ck_sparse_structure(
            inputs: inputs, outputs: outputs, block_rows: shape.rows, block_columns: shape.columns, slices: sliceCount, slice_inputs: sliceInputs,
            run_starts: runStarts.baseAddress, runs: runs.baseAddress, strips: strips.baseAddress, columns: columns.baseAddress)
    }
}
