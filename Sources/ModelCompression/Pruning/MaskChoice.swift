internal import CTraining

/// Which groups of weights stay, by their scores.
internal struct MaskChoice {
    private let network: TrainableNetwork
    private let configuration: PruningConfiguration
    /// Those that are pruned.
    private let layers: [any WeightedLayer]

    init(_ network: TrainableNetwork, _ configuration: PruningConfiguration, layers: [any WeightedLayer]) {
        (self.network, self.configuration, self.layers) = (network, configuration, layers)
    }

    /// Masks by layer name, of the scores of single weights and the sparsity that a configured one has at this moment.
    func masks(_ scores: [String: [Double]], _ sparsity: (Double) -> Double) -> [String: [UInt8]] {
        var groups = layers.map { groupScores($0, scores[$0.name]!) }
        let masks = choose(groups, sparsity, keeping: [:])
        let paths = KeptPath(network)
        if paths.connects(masks) { return masks }
        let named = Dictionary(uniqueKeysWithValues: zip(layers.map(\.name), groups))
        let kept = paths.find(groups: named, configuration) ?? named.compactMapValues(Self.best)
        for (index, layer) in layers.enumerated() {
            if let group = kept[layer.name] { groups[index][group] = .infinity }
        }
        return choose(groups, sparsity, keeping: kept)
    }

    // Where masks have cut all paths before, each layer keeps its best group all the same; nil where none has weights left.
    private static func best(_ scores: [Double]) -> Int? {
        guard let place = scores.indices.max(by: { scores[$0] < scores[$1] }), scores[place] >= 0 else { return nil }
        return place
    }

    private func choose(_ groups: [[Double]], _ sparsity: (Double) -> Double, keeping kept: [String: Int]) -> [String: [UInt8]] {
        var keeps = [[UInt8]](repeating: [], count: layers.count)
        let shared = layers.indices.filter { configuration.layerSparsity[layers[$0].name] == nil }
        if configuration.effectiveScope == .global, !configuration.granularity.isNOfM {
            var rest = Self.keep(shared.flatMap { groups[$0] }, sparsity(configuration.sparsity))[...]
            for index in shared {
                keeps[index] = Array(rest.prefix(groups[index].count))
                rest = rest.dropFirst(groups[index].count)
            }
        }
        for index in layers.indices where keeps[index].isEmpty {
            keeps[index] = keepWithin(
                layers[index], groups[index], sparsity(configuration.layerSparsity[layers[index].name] ?? configuration.sparsity))
        }
        var masks: [String: [UInt8]] = [:]
        for (index, layer) in layers.enumerated() {
            // Also where the counts leave nothing of a layer.
            if let group = kept[layer.name] { keeps[index][group] = 1 }
            masks[layer.name] = expand(keeps[index], layer)
        }
        return masks
    }

    private func groupScores(_ layer: any WeightedLayer, _ scores: [Double]) -> [Double] {
        let (weight, block) = (layer.weight, configuration.block(of: layer))
        let (rows, columns) = (weight.value.rows, weight.value.columns)
        let count = (rows / block.rows) * (columns / block.columns)
        return [Double](unsafeUninitializedCapacity: count) { means, initialized in
            weight.withMask { ck_block_scores_f64(scores, $0, rows, columns, block.rows, block.columns, means.baseAddress!) }
            initialized = count
        }
    }

    private func keepWithin(_ layer: any WeightedLayer, _ scores: [Double], _ sparsity: Double) -> [UInt8] {
        if case .nOfM(_, let group) = configuration.granularity { return Self.keep(scores, sparsity, groupsOf: group) }
        if configuration.effectiveScope == .output {
            return Self.keep(scores, sparsity, groupsOf: layer.weight.value.columns / configuration.block(of: layer).columns)
        }
        return Self.keep(scores, sparsity)
    }

    // In each group of `size` scores (of all, where nil) exactly round(size · sparsity) go; of equal ones the first stay.
    private static func keep(_ scores: [Double], _ sparsity: Double, groupsOf size: Int? = nil) -> [UInt8] {
        let size = size ?? scores.count
        let prune = Int((Double(size) * sparsity).rounded())
        return [UInt8](unsafeUninitializedCapacity: scores.count) { keep, count in
            withUnsafeTemporaryAllocation(of: Double.self, capacity: size) {
                ck_prune_in_groups_f64(scores, scores.count, size, prune, $0.baseAddress!, keep.baseAddress!)
            }
            count = scores.count
        }
    }

    private func expand(_ keep: [UInt8], _ layer: any WeightedLayer) -> [UInt8] {
        let (weight, block) = (layer.weight, configuration.block(of: layer))
        var mask = [UInt8](repeating: 1, count: weight.value.count)
        ck_expand_blocks_u8(keep, weight.value.rows, weight.value.columns, block.rows, block.columns, &mask)
        // Inside a block that stays, what was pruned before stays pruned.
        weight.mask?.withUnsafeBufferPointer { ck_and_u8(&mask, $0.baseAddress!, mask.count) }
        return mask
    }
}
