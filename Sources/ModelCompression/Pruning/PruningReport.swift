/// What masks leave of one layer's weights, its bias not counted.
public struct LayerPruning: Sendable, Hashable, Codable {
    public let name: String
    public let weights: Int
    public let kept: Int
    /// The share of weights that are pruned, 0…1.
    public var sparsity: Double { weights > 0 ? 1 - Double(kept) / Double(weights) : 0 }
}

/// What masks leave of a network's weights. Biases and normalization are not counted.
public struct PruningReport: Sendable, Hashable, Codable, CustomStringConvertible {
    /// All layers with weights, also those that are not pruned.
    public let layers: [LayerPruning]

    public var weights: Int { layers.reduce(0) { $0 + $1.weights } }
    public var kept: Int { layers.reduce(0) { $0 + $1.kept } }
    /// All weights / kept weights; infinite if none is kept.
    public var ratio: Double { kept > 0 ? Double(weights) / Double(kept) : .infinity }
    public var sparsity: Double { weights > 0 ? 1 - Double(kept) / Double(weights) : 0 }

    /// The present masks of `network`.
    public init(_ network: TrainableNetwork) {
        layers = network.weightedLayers.map { LayerPruning(name: $0.name, weights: $0.weight.value.count, kept: $0.weight.activeCount) }
    }

    public var description: String {
        layers.map { "\($0.name) \($0.kept) of \($0.weights)" }.joined(separator: ", ") + "; \(kept) of \(weights) weights"
    }
}

/// Where a pruning run stands.
public struct PruningProgress: Sendable {
    public enum Phase: Sendable, Hashable { case scoring, fineTuning }
    public let phase: Phase
    /// From 0.
    public let round: Int
    public let rounds: Int
    /// What masks leave, as of the beginning or end of an epoch of fine-tuning.
    public let report: PruningReport
    /// Of the fine-tuning of this round; nil while scoring.
    public let training: TrainingProgress?
}

/// What a pruning run gave.
public struct PruningResult: Sendable {
    public let report: PruningReport
    /// One for each round of fine-tuning.
    public let histories: [TrainingHistory]
    /// Validation accuracy before pruning and at the end; nil without validation data.
    public let accuracyBefore: Double?
    public let accuracy: Double?
}
