extension PruningConfiguration {
    /// - Throws: `CompressionError.outOfRange` for a sparsity of 0 % or less or more than 100 %, sizes that are not positive, and options
    ///   that contradict each other.
    public func validate() throws(CompressionError) {
        func require(_ what: String, _ value: Double) throws(CompressionError) {
            guard value > 0, value <= 1 else {
                throw .outOfRange(what: what, allowed: "more than 0 % and at most 100 %", found: "\(value * 100) %")
            }
        }
        try require("sparsity", sparsity)
        for (name, value) in layerSparsity.sorted(by: { $0.key < $1.key }) { try require("sparsity of layer \(name)", value) }
        for (what, value) in [("batch size of scores", scoreBatchSize), ("samples of scores", scoreSamples)] where value < 1 {
            throw .outOfRange(what: what, allowed: "at least 1", found: "\(value)")
        }
        try schedule.validate()
        try validateGranularity()
    }

    private func validateGranularity() throws(CompressionError) {
        switch granularity {
        case .blocks(let rows, let columns):
            guard rows >= 1, columns >= 1 else {
                throw .outOfRange(what: "block", allowed: "at least 1×1", found: "\(rows)×\(columns)")
            }
            guard effectiveScope != .output || rows == 1 else {
                throw .outOfRange(what: "blocks that compete within an output", allowed: "one row", found: "\(rows)×\(columns)")
            }
        case .nOfM(let keep, let group):
            guard keep >= 1, keep < group else {
                throw .outOfRange(what: "N:M", allowed: "1 ≤ N < M", found: "\(keep):\(group)")
            }
            guard scope == nil else {
                throw .outOfRange(
                    what: "scope of \(keep):\(group), whose weights compete within their groups", allowed: "none", found: "\(scope?.rawValue ?? "")")
            }
            let implied = 1 - Double(keep) / Double(group)
            guard ([sparsity] + layerSparsity.values).allSatisfy({ abs($0 - implied) < 1e-6 }) else {
                throw .outOfRange(what: "sparsity of \(keep):\(group)", allowed: "\(implied * 100) %", found: "\(sparsity * 100) %")
            }
        case .units, .channels:
            guard effectiveScope != .output else {
                throw .outOfRange(what: "scope of whole outputs", allowed: "global or layer", found: "output")
            }
        case .weights: break
        }
    }

    /// The layers of `network` that are pruned.
    ///
    /// - Throws: `CompressionError.outOfRange` for a name that no layer has, or if no layer is left to prune; `.shapeMismatch` where
    ///   blocks or N:M do not divide a layer.
    internal func layers(of network: TrainableNetwork) throws(CompressionError) -> [any WeightedLayer] {
        let all = network.weightedLayers
        let names = all.map(\.name)
        if let unknown = (Array(layerSparsity.keys) + Array(excludedLayers)).sorted().first(where: { !names.contains($0) }) {
            throw .outOfRange(what: "layer to prune or exclude", allowed: names.joined(separator: ", "), found: unknown)
        }
        if let both = layerSparsity.keys.sorted().first(where: excludedLayers.contains) {
            throw .outOfRange(what: "layer \(both)", allowed: "a sparsity of its own or exclusion", found: "both")
        }
        let layers = all.filter { layer in
            if excludedLayers.contains(layer.name) { return false }
            if granularity.isStructured && layer.name == names.last { return false }
            return granularity != .channels || layer is Conv2DLayer
        }
        guard !layers.isEmpty else {
            throw .outOfRange(
                what: "layers to prune", allowed: "at least one that \(granularity) applies to", found: "none of \(names.joined(separator: ", "))")
        }
        for layer in layers { try requireDivides(layer) }
        return layers
    }

    private func requireDivides(_ layer: any WeightedLayer) throws(CompressionError) {
        let (rows, columns) = (layer.weight.value.rows, layer.weight.value.columns)
        switch granularity {
        case .blocks(let r, let c) where rows % r != 0 || columns % c != 0:
            throw .shapeMismatch(
                what: "weights of layer \(layer.name)", expected: "a multiple of blocks of \(r)×\(c), or the layer excluded",
                found: "\(rows)×\(columns)")
        case .nOfM(let keep, let group) where columns % group != 0:
            throw .shapeMismatch(
                what: "weights of layer \(layer.name)", expected: "a multiple of \(group) inputs for \(keep):\(group), or the layer excluded",
                found: "\(columns)")
        default: break
        }
    }

    /// The block that is pruned as one: 1×1 for single weights and N:M, a whole row for units and channels.
    internal func block(of layer: any WeightedLayer) -> (rows: Int, columns: Int) {
        switch granularity {
        case .weights, .nOfM: (1, 1)
        case .blocks(let rows, let columns): (rows, columns)
        case .units, .channels: (1, layer.weight.value.columns)
        }
    }

    /// The index of the group that holds a weight.
    internal func group(of layer: any WeightedLayer, row: Int, column: Int) -> Int {
        let block = block(of: layer)
        return row / block.rows * (layer.weight.value.columns / block.columns) + column / block.columns
    }
}
