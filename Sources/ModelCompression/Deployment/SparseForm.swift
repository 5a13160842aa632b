internal import CompactNumerics

/// How the weights of a pruned layer are stored when enough of them are pruned.
internal struct SparseForm {
    /// What was pruned as one, the last first.
    let granularities: [PruningGranularity]
    /// The least share of pruned weights; nil for what suits the values.
    let minimumSparsity: Double?
    let expectedRows: Int

    /// From these shares on a sparse layer is smaller than the dense one and at least as fast, at 16 rows and more.
    static func minimumSparsity(_ values: SparseValues) -> Double { values == .float32 ? 0.3 : 0.6 }
    /// N:M is half of the weights, in three quarters of the bytes of int8.
    static let minimumSparsityOfNOfM = 0.5

    /// The sparse layer with the weights of `dense` that `mask` keeps, or `dense` itself: where too little is pruned, and in formats that no sparse
    /// layer has (their pruned weights are stored as zeros).
    func layer(_ dense: any LinearLayer, mask: WeightMask?) throws -> any LinearLayer {
        guard let mask, let values = Self.values(dense) else { return dense }
        let sparsity = 1 - Double(mask.keptCount) / Double(max(1, mask.rows * mask.columns))
        let isEnough = sparsity > 0 && sparsity >= minimumSparsity ?? Self.minimumSparsity(values)
        for granularity in granularities where isEnough || sparsity >= minimumSparsity ?? Self.minimumSparsityOfNOfM {
            switch granularity {
            case .nOfM(let kept, let group):
                guard let pattern = try? NMSparsity(kept: kept, group: group), mask.has(pattern) else { continue }
                return try nOfM(dense, mask, pattern)
            case .blocks(let rows, let columns):
                guard isEnough, let shape = try? BlockShape(rows: rows, columns: columns), mask.isMade(of: shape) else { continue }
                return try blocks(dense, mask, shape)
            case .weights, .units, .channels: continue
            }
        }
        return isEnough ? try blocks(dense, mask, .single) : dense
    }

    /// The values of a sparse layer that multiplies what `dense` does; nil where there is none.
    private static func values(_ dense: any LinearLayer) -> SparseValues? {
        if dense is Linear { return .float32 }
        guard let scheme = (dense as? QuantizedLinear)?.weight.scheme else { return nil }
        return scheme.bits == 8 && scheme.activations == .uint8 && scheme.group == 0 ? .int8 : nil
    }

    private func blocks(_ dense: any LinearLayer, _ mask: WeightMask, _ shape: BlockShape) throws -> any LinearLayer {
        if let quantized = dense as? QuantizedLinear {
            return try SparseLinear(quantized, mask: mask, shape: shape, expectedRows: expectedRows)
        }
        let weight = try BlockSparseMatrix(dense.denseWeight(), mask: mask, shape: shape, expectedRows: expectedRows)
        return try SparseLinear(weight: weight, bias: dense.bias, activation: dense.activation)
    }

    private func nOfM(_ dense: any LinearLayer, _ mask: WeightMask, _ pattern: NMSparsity) throws -> any LinearLayer {
        if let quantized = dense as? QuantizedLinear { return try NMSparseLinear(quantized, mask: mask, sparsity: pattern) }
        let weight = try NMSparseMatrix(dense.denseWeight(), mask: mask, sparsity: pattern)
        return try NMSparseLinear(weight: weight, bias: dense.bias, activation: dense.activation)
    }
}

extension WeightMask {
    /// Whether no group keeps more weights than `pattern` allows. The last group of a row may be shorter.
    internal func has(_ pattern: NMSparsity) -> Bool {
        (0..<rows).allSatisfy { row in
            stride(from: 0, to: columns, by: pattern.group).allSatisfy { first in
                (first..<min(first + pattern.group, columns)).count { self[row, $0] } <= pattern.kept
            }
        }
    }

    /// Whether the weights of each block are all kept or all pruned. Blocks at the edges may be smaller.
    internal func isMade(of shape: BlockShape) -> Bool {
        stride(from: 0, to: rows, by: shape.rows).allSatisfy { top in
            stride(from: 0, to: columns, by: shape.columns).allSatisfy { left in
                let keeps = self[top, left]
                return (top..<min(top + shape.rows, rows)).allSatisfy { row in
                    (left..<min(left + shape.columns, columns)).allSatisfy { self[row, $0] == keeps }
                }
            }
        }
    }
}
