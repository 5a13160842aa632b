public import CompactNumerics

extension TrainableNetwork {
    /// The network that an app runs, its masked layers sparse: of the same outputs within float rounding.
    ///
    /// - Parameters:
    ///   - granularity: what was pruned as one; blocks become block-sparse layers where kernels for their shape exist.
    ///   - minimumSparsity: layers with a smaller share of pruned weights stay dense.
    ///   - expectedRows: how many rows of activations a product will usually have.
    /// - Throws: `CompressionError.numerics` if layers cannot be made.
    public func deployedSparse(
        granularity: PruningGranularity = .weights, minimumSparsity: Double = 0, expectedRows: Int = 64
    ) throws(CompressionError) -> Sequential {
        try CompressionError.wrapping {
            try deployed { layer, linear in
                try Self.sparseLinear(
                    layer, linear, granularity: granularity, minimumSparsity: minimumSparsity, expectedRows: expectedRows)
            }
        }
    }

    /// THE place where the deployed form of a pruned layer is chosen.
    private static func sparseLinear(
        _ layer: any WeightedLayer, _ linear: Linear, granularity: PruningGranularity, minimumSparsity: Double, expectedRows: Int
    ) throws -> any LinearLayer {
        let weight = layer.weight
        guard let keeps = weight.mask else { return linear }
        let sparsity = 1 - Double(weight.activeCount) / Double(keeps.count)
        guard sparsity > 0, sparsity >= minimumSparsity else { return linear }
        let mask = try WeightMask(rows: weight.value.rows, columns: weight.value.columns, keeps: keeps.map { $0 != 0 })
        let shape: BlockShape
        switch granularity {
        case .blocks(let rows, let columns): shape = (try? BlockShape(rows: rows, columns: columns)) ?? .single
        case .nOfM: shape = .single  // NMSparseLinear, once it is here: until then CSR, of the same numbers.
        case .weights, .units, .channels: shape = .single
        }
        let sparse = try BlockSparseMatrix(linear.weight, mask: mask, shape: shape, expectedRows: expectedRows)
        return try SparseLinear(weight: sparse, bias: linear.bias, activation: linear.activation)
    }
}
