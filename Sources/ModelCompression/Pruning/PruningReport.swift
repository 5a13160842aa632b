internal import CTraining
internal import Foundation

/// What masks leave of one layer's weights, its bias not counted.
public struct LayerPruning: Sendable, Hashable, Codable {
    public let name: String
    public let weights: Int
    public let kept: Int
    /// Outputs of the layer, and those of which a weight is kept; 0 in reports of versions that did not count them.
    public let outputs: Int
    public let keptOutputs: Int
    /// The share of weights that are pruned, 0…1.
    public var sparsity: Double { weights > 0 ? 1 - Double(kept) / Double(weights) : 0 }

    internal init(_ layer: any WeightedLayer) {
        (name, weights, kept, outputs) = (layer.name, layer.weight.value.count, layer.weight.activeCount, layer.weight.value.rows)
        let (rows, columns) = (layer.weight.value.rows, layer.weight.value.columns)
        var live = [UInt8](repeating: 1, count: rows)
        layer.weight.mask?.withUnsafeBufferPointer { ck_live_rows_u8($0.baseAddress!, rows, columns, &live) }
        keptOutputs = live.count { $0 != 0 }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        weights = try container.decode(Int.self, forKey: .weights)
        kept = try container.decode(Int.self, forKey: .kept)
        outputs = try container.decodeIfPresent(Int.self, forKey: .outputs) ?? 0
        keptOutputs = try container.decodeIfPresent(Int.self, forKey: .keptOutputs) ?? 0
    }

    // What is left where it is less than a share of the weights, or of the outputs, or the last output.
    fileprivate func warning(below share: Double) -> String? {
        func text(_ kept: Int, _ all: Int, _ what: String) -> String {
            "layer \(name) keeps \(kept) of \(all) \(what) (\(String(format: "%.2f", 100 * Double(kept) / Double(max(1, all)))) %)"
        }
        if Double(kept) < share * Double(weights) { return text(kept, weights, "weights") }
        let isLast = outputs > 1 && keptOutputs <= 1
        return isLast || Double(keptOutputs) < share * Double(outputs) ? text(keptOutputs, outputs, "outputs") : nil
    }
}

/// What masks leave of a network's weights. Biases and normalization are not counted.
public struct PruningReport: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The share of a layer's weights or outputs below which `warnings` names it.
    public static let warnsBelow = 0.01

    /// All layers with weights, also those that are not pruned.
    public let layers: [LayerPruning]

    public var weights: Int { layers.reduce(0) { $0 + $1.weights } }
    public var kept: Int { layers.reduce(0) { $0 + $1.kept } }
    /// All weights / kept weights; infinite if none is kept.
    public var ratio: Double { kept > 0 ? Double(weights) / Double(kept) : .infinity }
    public var sparsity: Double { weights > 0 ? 1 - Double(kept) / Double(weights) : 0 }

    /// The present masks of `network`.
    public init(_ network: TrainableNetwork) {
        layers = network.weightedLayers.map(LayerPruning.init)
    }

    /// One line for each layer of which next to nothing is left: less than `warnsBelow` of its weights or outputs, or a single one of several
    /// outputs.
    public var warnings: [String] { warnings(below: Self.warnsBelow) }

    /// The same with another share, 0…1.
    public func warnings(below share: Double) -> [String] { layers.compactMap { $0.warning(below: share) } }

    /// What each layer keeps, and the warnings.
    public var description: String {
        layers.map { "\($0.name) \($0.kept) of \($0.weights)" }.joined(separator: ", ") + "; \(kept) of \(weights) weights"
            + warnings.map { "; warning: \($0)" }.joined()
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
    /// Layers of which next to nothing is left: those of `report`.
    public var warnings: [String] { report.warnings }
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
