internal import CKernels

/// Which weights of a matrix [rows, columns] are kept: 1 for kept, 0 for pruned.
public struct WeightMask: Sendable, Hashable {
    public let rows: Int
    public let columns: Int
    package let keeps: [UInt8]

    /// A mask of the given marks, row after row.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless there are `rows` · `columns` of them, `.outOfRange` for sizes below 0 and products that
    ///   overflow.
    public init(rows: Int, columns: Int, keeps: [Bool]) throws(NumericsError) {
        let count = try checkedProduct(rows, columns, what: "size of a mask")
        guard keeps.count == count else {
            throw .shapeMismatch(what: "mask of \(rows)×\(columns)", expected: "\(count) marks", found: "\(keeps.count)")
        }
        (self.rows, self.columns) = (rows, columns)
        self.keeps = keeps.map { $0 ? 1 : 0 }
    }

    /// The mask that keeps the elements of `matrix` other than 0 (and −0).
    public init(nonzerosOf matrix: Matrix) {
        (rows, columns) = (matrix.rows, matrix.columns)
        keeps = matrix.withUnsafeBufferPointer { elements in
            [UInt8](unsafeUninitializedCapacity: elements.count) { marks, count in
                count = elements.count
                guard let from = elements.baseAddress, let to = marks.baseAddress else { return }
                var index = 0
                while index < count {
                    to[index] = from[index] != 0 ? 1 : 0
                    index &+= 1
                }
            }
        }
    }

    /// Number of kept weights.
    public var keptCount: Int { keeps.reduce(0) { $0 + Int($1) } }

    public subscript(row: Int, column: Int) -> Bool { keeps[row * columns + column] != 0 }
}

/// Marks the blocks [strips, across] of `weight` that stay when the share `sparsity` of them is pruned, smallest norms first.
///
/// The weights are checked on the way. The number kept is exactly blocks − round(sparsity · blocks); of blocks with equal norms the first in row order stay.
///
/// - Throws: `NumericsError.outOfRange` for a sparsity outside 0…1, `.notFinite` for weights that are no numbers.
internal func largestBlocks(_ weight: Matrix, shape: BlockShape, sparsity: Double) throws(NumericsError) -> AlignedBuffer<UInt8> {
    guard sparsity >= 0, sparsity <= 1 else {
        throw .outOfRange(what: "sparsity", allowed: "a number from 0 to 1", found: "\(sparsity)")
    }
    let count = shape.strips(outputs: weight.rows) * shape.across(inputs: weight.columns)
    let kept = count - Int((sparsity * Double(count)).rounded())
    let keep = AlignedBuffer<UInt8>(unfilledCount: count)
    let scratch = AlignedBuffer<UInt32>(unfilledCount: ck_sparse_keep_scratch(count))
    // Magnitudes are all that counts: single weights are their own norms.
    if shape == .single {
        let areFinite = weight.withUnsafeBufferPointer { elements in
            ck_sparse_keep_largest(elements.baseAddress!, count, kept, scratch.baseAddress, keep.baseAddress)
        }
        if areFinite == 0 { try requireFinite(weight) }
    } else {
        try requireFinite(weight)
        let norms = AlignedBuffer<Float>(unfilledCount: count)
        weight.withUnsafeBufferPointer { elements in
            ck_sparse_block_norms(elements.baseAddress!, weight.columns, weight.rows, shape.rows, shape.columns, norms.baseAddress)
        }
        _ = ck_sparse_keep_largest(norms.baseAddress, count, kept, scratch.baseAddress, keep.baseAddress)
    }
    return keep
}

/// - Throws: `NumericsError.notFinite` for NaN and infinity.
internal func requireFinite(_ weight: Matrix) throws(NumericsError) {
    if let at = weight.firstNonFinite { throw .notFinite(what: "weights", row: at.row, column: at.column) }
}
