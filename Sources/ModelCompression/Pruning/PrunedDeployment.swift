public import CompactNumerics

extension TrainableNetwork {
    /// The network that an app runs, its masked layers sparse: of the same outputs within float rounding.
    ///
    /// - Parameters:
    ///   - granularity: what was pruned as one; blocks and N:M become layers of their own where kernels for them exist, else
    ///     single weights.
    ///   - values: float32, or int8 with one scale for a layer and activations quantized row by row; layers that stay dense are then quantized
    ///     as w8a8.
    ///   - minimumSparsity: layers with a smaller share of pruned weights stay dense.
    ///   - expectedRows: how many rows of activations a product will usually have.
    /// - Throws: `CompressionError.numerics` if layers cannot be made.
    public func deployedSparse(
        granularity: PruningGranularity = .weights, values: SparseValues = .float32, minimumSparsity: Double = 0, expectedRows: Int = 64
    ) throws(CompressionError) -> Sequential {
        try CompressionError.wrapping {
            try deployed { layer, linear in
                try Self.sparseLinear(
                    layer, linear, granularity: granularity, values: values, minimumSparsity: minimumSparsity, expectedRows: expectedRows)
            }
        }
    }

    /// THE place where the deployed form of a pruned layer is chosen.
    private static func sparseLinear(
        _ layer: any WeightedLayer, _ linear: Linear, granularity: PruningGranularity, values: SparseValues, minimumSparsity: Double,
        expectedRows: Int
    ) throws -> any LinearLayer {
        let weight = layer.weight, dense: any LinearLayer = values == .int8 ? try QuantizedLinear(linear, scheme: .w8a8) : linear
        guard let keeps = weight.mask else { return dense }
        let sparsity = 1 - Double(weight.activeCount) / Double(keeps.count)
        guard sparsity > 0, sparsity >= minimumSparsity else { return dense }
        let mask = try WeightMask(rows: weight.value.rows, columns: weight.value.columns, keeps: keeps.map { $0 != 0 })
        var shape = BlockShape.single
        switch granularity {
        case .blocks(let rows, let columns): shape = (try? BlockShape(rows: rows, columns: columns)) ?? .single
        case .nOfM(let kept, let group):
            if let sparsity = try? NMSparsity(kept: kept, group: group) {
                let weight = try NMSparseMatrix(linear.weight, mask: mask, sparsity: sparsity, values: values)
                return try NMSparseLinear(weight: weight, bias: linear.bias, activation: linear.activation)
            }
        case .weights, .units, .channels: break
        }
        let sparse = try BlockSparseMatrix(linear.weight, mask: mask, shape: shape, values: values, sharesScale: true, expectedRows: expectedRows)
        return try SparseLinear(weight: sparse, bias: linear.bias, activation: linear.activation)
    }
}
