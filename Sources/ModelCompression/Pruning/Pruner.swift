internal import CTraining
public import CompactNumerics

/// Prunes a network: scores its weights and sets `Parameter.mask`. What is pruned stays pruned when it prunes on.
public final class Pruner {
    public let network: TrainableNetwork
    public let configuration: PruningConfiguration
    /// Samples for scores that need them.
    public let data: LabelledData?
    public let loss: any TrainingLoss
    public let parallelism: Parallelism
    private let layers: [any WeightedLayer]

    /// - Throws: the errors of `PruningConfiguration.validate`; `CompressionError.outOfRange` for the name of no layer, where nothing is
    ///   left to prune, and where the score needs data and there is none; `.shapeMismatch` where blocks or N:M do not divide a layer or
    ///   data does not fit the network.
    public init(
        _ network: TrainableNetwork, configuration: PruningConfiguration, data: LabelledData? = nil, loss: any TrainingLoss = CrossEntropy(),
        parallelism: Parallelism = .serial
    ) throws(CompressionError) {
        try configuration.validate()
        layers = try configuration.layers(of: network)
        if configuration.score.needsData {
            guard let data, data.count > 0 else {
                throw .outOfRange(what: "samples for pruning scores", allowed: "at least 1 for \(configuration.score)", found: "none")
            }
            try requireMatch(network, data)
        }
        (self.network, self.configuration, self.data, self.loss, self.parallelism) = (network, configuration, data, loss, parallelism)
    }

    /// Scores of single weights by layer name, [outputs · inputs], larger for what matters more: what `prune` ranks, before means over
    /// groups.
    ///
    /// - Throws: `CompressionError.notFinite` for scores that are no numbers.
    public func scores() throws(CompressionError) -> [String: [Double]] {
        try makeScores().scores
    }

    private func makeScores() throws(CompressionError) -> PruningScores {
        try PruningScores(network, layers: layers, configuration: configuration, data: data, loss: loss, parallelism: parallelism)
    }

    /// Prunes to a share `strength` 0…1 of the configured sparsities, all of it by default, and tells what is left.
    ///
    /// - Throws: `CompressionError.notFinite` for scores that are no numbers, `.outOfRange` for a Hessian that cannot be inverted.
    @discardableResult
    public func prune(strength: Double = 1) throws(CompressionError) -> PruningReport {
        try prune { $0 * min(1, max(0, strength)) }
    }

    /// Prunes to what the configured schedule has reached at `progress` 0…1.
    ///
    /// - Throws: the errors of `prune(strength:)`.
    @discardableResult
    public func prune(progress: Double) throws(CompressionError) -> PruningReport {
        try prune { configuration.schedule.sparsity(target: $0, progress: progress) }
    }

    private func prune(_ sparsity: (Double) -> Double) throws(CompressionError) -> PruningReport {
        let scores = try makeScores()
        let masks = chooseMasks(scores.scores, sparsity)
        for layer in layers {
            guard let mask = masks[layer.name] else { continue }
            if let inverse = scores.inverseHessians[layer.name] {
                try InverseHessian.correct(layer.weight.value, mask: mask, inverse: inverse, layer: layer.name)
            }
            layer.weight.mask = mask
        }
        if configuration.granularity.isStructured { network.maskPrunedOutputs(of: layers.map(\.name)) }
        return PruningReport(network)
    }

    // MARK: - Masks

    private func chooseMasks(_ scores: [String: [Double]], _ sparsity: (Double) -> Double) -> [String: [UInt8]] {
        let groups = layers.map { groupScores($0, scores[$0.name]!) }
        var keeps = [[UInt8]](repeating: [], count: layers.count)
        let shared = layers.indices.filter { configuration.layerSparsity[layers[$0].name] == nil }
        if configuration.scope == .global, !isNOfM {
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
        for (layer, keep) in zip(layers, keeps) { masks[layer.name] = expand(keep, layer) }
        return masks
    }

    private var isNOfM: Bool {
        if case .nOfM = configuration.granularity { return true }
        return false
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
        if configuration.scope == .output {
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
