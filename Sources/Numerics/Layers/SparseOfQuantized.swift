// Sparse layers that keep the codes, scales and static input scale of a quantized one exactly: however it was rounded, nothing is rounded again.

extension SparseLinear {
    /// The weights of `other` that `mask` keeps: a block is stored if any of its weights is kept, the others as zeros.
    ///
    /// - Throws: `NumericsError.outOfRange` unless weights have 8 bits without groups and activations 0…255; `.shapeMismatch` for a mask of another
    ///   shape.
    public init(
        _ other: QuantizedLinear, mask: WeightMask, shape: BlockShape = .single, expectedRows: Int = 64
    ) throws(NumericsError) {
        let parts = try other.weight.partsForSparseCodes(mask), (n, k) = (other.outputs, other.inputs)
        var arrays = BlockArrays(blockOffsets: [0], blockColumns: [])
        for top in stride(from: 0, to: n, by: shape.rows) {
            for left in stride(from: 0, to: k, by: shape.columns) {
                let places = (top..<top + shape.rows).flatMap { row in (left..<left + shape.columns).map { (row, $0) } }
                func isKept(_ row: Int, _ column: Int) -> Bool { row < n && column < k && mask[row, column] }
                guard places.contains(where: isKept) else { continue }
                arrays.blockColumns.append(UInt32(left / shape.columns))
                arrays.codes += places.map { isKept($0, $1) ? parts.codes[$0 * k + $1] : 0 }
            }
            arrays.blockOffsets.append(UInt32(arrays.blockColumns.count))
        }
        try self.init(
            weight: BlockSparseMatrix(
                rows: n, columns: k, shape: shape, blockOffsets: arrays.blockOffsets, blockColumns: arrays.blockColumns, codes: arrays.codes,
                scales: parts.scales, expectedRows: expectedRows),
            bias: other.bias, activation: other.activation, inputQuantization: other.inputQuantization)
    }
}

extension NMSparseLinear {
    /// The weights of `other` that `mask` keeps.
    ///
    /// - Throws: the errors of `SparseLinear.init(_:mask:shape:expectedRows:)`; `.outOfRange` where a group keeps more than it may.
    public init(_ other: QuantizedLinear, mask: WeightMask, sparsity: NMSparsity = .twoOfFour) throws(NumericsError) {
        let parts = try other.weight.partsForSparseCodes(mask), k = other.inputs
        var arrays = NMArrays(positions: [], scales: parts.scales)
        for row in 0..<other.outputs {
            for first in stride(from: 0, to: NMSparseMatrix.slots(inputs: k) / sparsity.kept * sparsity.group, by: sparsity.group) {
                let group = 0..<sparsity.group, kept = group.filter { first + $0 < k && mask[row, first + $0] }
                guard kept.count <= sparsity.kept else {
                    throw .outOfRange(
                        what: "weights that output \(row) keeps of inputs \(first)..<\(first + sparsity.group)", allowed: "at most \(sparsity.kept)",
                        found: "\(kept.count)")
                }
                let filled = group.filter { !kept.contains($0) }.prefix(sparsity.kept - kept.count)
                for position in (kept + filled).sorted() {
                    arrays.positions.append(UInt8(position))
                    arrays.codes.append(kept.contains(position) ? parts.codes[row * k + first + position] : 0)
                }
            }
        }
        try self.init(
            weight: NMSparseMatrix(rows: other.outputs, columns: k, sparsity: sparsity, arrays: arrays), bias: other.bias,
            activation: other.activation, inputQuantization: other.inputQuantization)
    }
}

extension QuantizedMatrix {
    fileprivate func partsForSparseCodes(_ mask: WeightMask) throws(NumericsError) -> (codes: [Int8], scales: [Float]) {
        guard scheme.bits == 8, scheme.group == 0, scheme.activations == .uint8 else {
            throw .outOfRange(what: "format of weights for a sparse layer", allowed: "w8a8 without groups", found: scheme.description)
        }
        guard mask.rows == rows, mask.columns == columns else {
            throw .shapeMismatch(what: "mask", expected: "\(rows)×\(columns)", found: "\(mask.rows)×\(mask.columns)")
        }
        let parts = unpacked()
        return (parts.codes, parts.scales)
    }
}
