public import CompactNumerics

/// Prunes a network: scores its weights and sets `Parameter.mask`. What is pruned stays pruned when it prunes on.
///
/// Counts are exact but for one thing: a path of kept weights from an input to an output always stays, so each layer keeps at least one output
/// and one weight, whatever sparsity, scope, schedule and score. Where the choice by scores would cut the last one, the best group of each layer
/// along a path stays in the place of others. `PruningReport.warnings` names layers that keep next to nothing.
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
        for layer in network.weightedLayers { try layer.requireZeros(isPruned: layers.contains { $0 === layer }) }
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
        let masks = MaskChoice(network, configuration, layers: layers).masks(scores.scores, sparsity)
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
}
