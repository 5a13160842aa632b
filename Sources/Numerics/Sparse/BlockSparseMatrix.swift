internal import CKernels

/// How the kept weights of a sparse matrix are stored.
public enum SparseValues: String, Sendable, Hashable, CaseIterable {
    case float32
    /// int8 with a scale per output, for activations that are quantized to uint8 per row.
    case int8
}

/// Sparse weights W[N, K] made of R×C blocks, packed once into the layout that the kernels read. The packed form is the only copy.
///
/// Only stored blocks take part in products: what was pruned contributes nothing, also where an activation is infinite or NaN.
/// Zeros inside a stored block multiply like any other number.
public struct BlockSparseMatrix: Sendable {
    /// Outputs, N.
    public let rows: Int
    /// Inputs, K.
    public let columns: Int
    public let shape: BlockShape
    public let values: SparseValues
    /// Stored blocks.
    public let blockCount: Int
    /// Weights in stored blocks, zeros among them included.
    package var storedWeightCount: Int { blockCount * shape.rows * shape.columns }
    /// What the cut of K was chosen for.
    package let expectedRows: Int
    /// Parts with the same inputs; their outputs follow each other, the first has the most.
    internal let parts: [PackedBlocks]

    /// The blocks of `dense` [N, K] with the largest norms; the share `sparsity` of all blocks is left out, counted exactly.
    ///
    /// - Parameter expectedRows: how many rows of activations a product will usually have. It chooses the cut of K that suits the
    ///   caches; any number of rows works with any choice.
    /// - Throws: `NumericsError.outOfRange` for a sparsity outside 0…1, an empty matrix, or int8 with more than 65,536 columns;
    ///   `.notFinite` for weights that are no numbers.
    public init(
        _ dense: Matrix, sparsity: Double, shape: BlockShape, values: SparseValues = .float32, expectedRows: Int = 64
    ) throws(NumericsError) {
        try CanonicalBlocks.checkSize(rows: dense.rows, columns: dense.columns)
        let keep = try largestBlocks(dense, shape: shape, sparsity: sparsity)
        try self.init(CanonicalBlocks(dense, shape: shape, keep: keep, mask: nil), values: values, expectedRows: expectedRows)
    }

    /// The weights of `dense` [N, K] that `mask` keeps: a block is stored if any of its weights is kept, the others as zeros.
    ///
    /// - Parameter sharesScale: one scale of int8 values for all outputs instead of one for each: codes that a file compresses better.
    /// - Throws: `NumericsError.shapeMismatch` unless the mask has the shape of the matrix, and the errors of
    ///   `init(_:sparsity:shape:values:expectedRows:)`.
    public init(
        _ dense: Matrix, mask: WeightMask, shape: BlockShape, values: SparseValues = .float32, sharesScale: Bool = false, expectedRows: Int = 64
    ) throws(NumericsError) {
        try Self.check(dense)
        guard mask.rows == dense.rows, mask.columns == dense.columns else {
            throw .shapeMismatch(what: "mask", expected: "\(dense.rows)×\(dense.columns)", found: "\(mask.rows)×\(mask.columns)")
        }
        let keep = AlignedBuffer<UInt8>(count: shape.strips(outputs: dense.rows) * shape.across(inputs: dense.columns))
        mask.keeps.withUnsafeBufferPointer { marks in
            ck_sparse_keep_masked(marks.baseAddress!, dense.columns, dense.rows, shape.rows, shape.columns, keep.baseAddress)
        }
        try self.init(
            CanonicalBlocks(dense, shape: shape, keep: keep, mask: mask), values: values, sharesScale: sharesScale, expectedRows: expectedRows)
    }

    /// Block-CSR arrays that come from elsewhere: `blockOffsets` [N/R + 1], `blockColumns` [blocks] in units of C, `blockValues`
    /// [blocks][R][C].
    ///
    /// - Throws: `NumericsError.invalidStructure` for offsets that do not rise from 0 to the number of blocks or columns that do not
    ///   ascend within the matrix, `.shapeMismatch` for wrong counts, `.notFinite`, and the errors of the other initializers.
    public init<Index: FixedWidthInteger>(
        rows: Int, columns: Int, shape: BlockShape, blockOffsets: [Index], blockColumns: [Index], blockValues: [Float],
        values: SparseValues = .float32, expectedRows: Int = 64
    ) throws(NumericsError) {
        try self.init(
            CanonicalBlocks(
                rows: rows, columns: columns, shape: shape, offsets: blockOffsets, blockColumns: blockColumns, values: blockValues),
            values: values, expectedRows: expectedRows)
    }

    /// int8 codes and scales that come from elsewhere, kept exactly: block-CSR with `codes` [blocks][R][C], −127…127, and `scales` [N], or one
    /// for all outputs.
    ///
    /// - Throws: as above; `NumericsError.outOfRange` also for a code of −128, `.notFinite` for a scale.
    public init<Index: FixedWidthInteger>(
        rows: Int, columns: Int, shape: BlockShape, blockOffsets: [Index], blockColumns: [Index], codes: [Int8], scales: [Float],
        expectedRows: Int = 64
    ) throws(NumericsError) {
        let blocks = try CanonicalBlocks(rows: rows, columns: columns, shape: shape, offsets: blockOffsets, blockColumns: blockColumns)
        try self.init(blocks, codes: BlockCodes(codes, scales: scales, of: blocks), expectedRows: expectedRows)
    }

    private init(
        _ blocks: borrowing CanonicalBlocks, values: SparseValues, sharesScale: Bool = false, expectedRows: Int
    ) throws(NumericsError) {
        switch values {
        case .float32: self.init(floats: blocks, expectedRows: expectedRows)
        case .int8: try self.init(blocks, codes: BlockCodes(quantizing: blocks, sharesScale: sharesScale), expectedRows: expectedRows)
        }
    }

    private init(floats blocks: borrowing CanonicalBlocks, expectedRows: Int) {
        (rows, columns, shape, values, blockCount) = (blocks.rows, blocks.columns, blocks.shape, .float32, blocks.blockCount)
        self.expectedRows = expectedRows
        var parts: [PackedBlocks] = []
        for strips in PackedBlocks.parts(blocks, expectedRows: expectedRows) {
            parts.append(PackedBlocks(packing: blocks, strips: strips, expectedRows: expectedRows))
        }
        self.parts = parts
    }

    private init(_ blocks: borrowing CanonicalBlocks, codes: borrowing BlockCodes, expectedRows: Int) throws(NumericsError) {
        guard blocks.columns <= Int(ck_sparse_max_slice) else {
            throw .outOfRange(what: "columns of int8 sparse weights", allowed: "at most \(ck_sparse_max_slice)", found: "\(blocks.columns)")
        }
        (rows, columns, shape, values, blockCount) = (blocks.rows, blocks.columns, blocks.shape, .int8, blocks.blockCount)
        self.expectedRows = expectedRows
        var parts: [PackedBlocks] = []
        for strips in PackedBlocks.parts(blocks, expectedRows: expectedRows) {
            parts.append(PackedBlocks(packing: blocks, codes: codes, strips: strips))
        }
        self.parts = parts
    }

    private static func check(_ dense: Matrix) throws(NumericsError) {
        try CanonicalBlocks.checkSize(rows: dense.rows, columns: dense.columns)
        try requireFinite(dense)
    }

    /// Bytes really held: values, columns and the lists that find them.
    public var byteCount: Int { parts.reduce(0) { $0 + $1.byteCount } }

    /// The share of weights that are not stored.
    public var sparsity: Double {
        1 - Double(blockCount) / Double(shape.strips(outputs: rows) * shape.across(inputs: columns))
    }

    /// The weights as a dense matrix [N, K], zeros where none is stored.
    public func dense() -> Matrix {
        var dense = Matrix(rows: rows, columns: columns)
        dense.withUnsafeMutableBufferPointer { elements in
            var start = elements.baseAddress!
            for part in parts {
                switch part.config {
                case .float32(let config):
                    var weights = float32Weights(part)
                    config.pointee.unpack(&weights, start)
                case .int8(let config):
                    var weights = int8Weights(part)
                    config.pointee.unpack(&weights, start)
                }
                start += part.outputs * columns
            }
        }
        return dense
    }

    /// Of int8 weights, one for each output; none of float32 ones.
    package var outputScales: [Float] {
        values == .float32 ? [] : parts.flatMap { part in (0..<part.outputs).map { part.scales.baseAddress[$0] } }
    }

    /// The number of outputs before each part.
    internal var firstOutputs: [Int] {
        var next = 0
        return parts.map { part in
            defer { next += part.outputs }
            return next
        }
    }

    // The C structures point into `part`, which has to outlive them.
    internal func float32Weights(_ part: PackedBlocks) -> ck_sparse_f32 {
        ck_sparse_f32(structure: part.structure(inputs: columns, shape: shape), values: part.floats.baseAddress)
    }

    internal func int8Weights(_ part: PackedBlocks) -> ck_sparse_s8 {
        ck_sparse_s8(
            structure: part.structure(inputs: columns, shape: shape), values: part.codes.baseAddress, scales: part.scales.baseAddress,
            sums: part.sums.baseAddress)
    }
}

extension BlockSparseMatrix: CustomStringConvertible {
    public var description: String {
        "BlockSparseMatrix(\(rows)×\(columns), \(blockCount) blocks of \(shape), \(values.rawValue), \(byteCount) bytes)"
    }
}
