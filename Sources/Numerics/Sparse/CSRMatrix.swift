/// Sparse weights W[N, K] of single weights: compressed sparse rows.
public struct CSRMatrix: Sendable {
    /// The same weights as a matrix of 1×1 blocks.
    public let blocks: BlockSparseMatrix

    public var rows: Int { blocks.rows }
    public var columns: Int { blocks.columns }
    /// Stored weights.
    public var storedCount: Int { blocks.blockCount }
    public var byteCount: Int { blocks.byteCount }
    public var sparsity: Double { blocks.sparsity }
    public func dense() -> Matrix { blocks.dense() }

    /// The weights of `dense` [N, K] of the largest magnitudes; the share `sparsity` of all is left out, counted exactly.
    ///
    /// - Throws: the errors of `BlockSparseMatrix.init(_:sparsity:shape:values:expectedRows:)`.
    public init(_ dense: Matrix, sparsity: Double, values: SparseValues = .float32, expectedRows: Int = 64) throws(NumericsError) {
        blocks = try BlockSparseMatrix(dense, sparsity: sparsity, shape: .single, values: values, expectedRows: expectedRows)
    }

    /// The weights of `dense` [N, K] that `mask` keeps, zeros among them included.
    ///
    /// - Throws: the errors of `BlockSparseMatrix.init(_:mask:shape:values:expectedRows:)`.
    public init(_ dense: Matrix, mask: WeightMask, values: SparseValues = .float32, expectedRows: Int = 64) throws(NumericsError) {
        blocks = try BlockSparseMatrix(dense, mask: mask, shape: .single, values: values, expectedRows: expectedRows)
    }

    /// CSR arrays that come from elsewhere, with indices of any integer type.
    ///
    /// - Throws: the errors of `BlockSparseMatrix.init(rows:columns:shape:blockOffsets:blockColumns:blockValues:values:expectedRows:)`.
    public init<Index: FixedWidthInteger>(
        rows: Int, columns: Int, rowOffsets: [Index], columnIndices: [Index], storedValues: [Float], values: SparseValues = .float32,
        expectedRows: Int = 64
    ) throws(NumericsError) {
        blocks = try BlockSparseMatrix(
            rows: rows, columns: columns, shape: .single, blockOffsets: rowOffsets, blockColumns: columnIndices, blockValues: storedValues,
            values: values, expectedRows: expectedRows)
    }
}
