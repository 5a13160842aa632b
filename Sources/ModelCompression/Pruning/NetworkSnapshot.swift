/// The numbers of a network at some moment, without masks, to rewind to.
public final class NetworkSnapshot {
    private let values: [String: Tensor]
    private let fingerprint: String

    public init(_ network: TrainableNetwork) {
        let parameters = network.parameters.map { ($0.name, $0.value.copy()) }
        let statistics = network.layers.flatMap { $0.statistics.map { ($0.name, $0.values.copy()) } }
        values = Dictionary(uniqueKeysWithValues: parameters + statistics)
        fingerprint = network.fingerprint
    }

    /// Gives `network` these numbers, forgets the optimizer's moments and keeps masks.
    ///
    /// - Throws: `CompressionError.shapeMismatch` for another network.
    public func restore(_ network: TrainableNetwork) throws(CompressionError) {
        guard network.fingerprint == fingerprint else {
            throw .shapeMismatch(what: "network to rewind", expected: fingerprint, found: network.fingerprint)
        }
        for parameter in network.parameters {
            parameter.value.assign(values[parameter.name]!)
            parameter.moments = []
            parameter.applyMask()
        }
        for layer in network.layers { for statistic in layer.statistics { statistic.values.assign(values[statistic.name]!) } }
    }
}

/// Keeps a network's numbers at the ends of some epochs of a training run.
public final class SnapshotHook: TrainingHook {
    /// By epoch, from 0; −1 for before training.
    public private(set) var snapshots: [Int: NetworkSnapshot]
    private let epochs: Set<Int>

    public init(_ network: TrainableNetwork, epochs: Set<Int>) {
        self.epochs = epochs
        snapshots = epochs.contains(-1) ? [-1: NetworkSnapshot(network)] : [:]
    }

    public func didEndEpoch(_ trainer: Trainer, epoch: Int) {
        if epochs.contains(epoch) { snapshots[epoch] = NetworkSnapshot(trainer.network) }
    }
}

extension TrainableNetwork {
    /// Random weights as for a new network: weights and biases uniform in ±1/√inputs, batch normalization at its beginning. Masks stay.
    public func reinitialize(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for layer in layers {
            if let layer = layer as? any WeightedLayer {
                let (weight, bias) = initialParameters(
                    name: layer.name, outputs: layer.weight.value.rows, inputs: layer.weight.value.columns, hasBias: layer.bias != nil,
                    generator: &generator)
                layer.weight.value.assign(weight.value)
                if let bias { layer.bias?.value.assign(bias.value) }
            } else if let layer = layer as? BatchNormLayer {
                for tensor in [layer.gamma.value, layer.runningVariance] { tensor.fill(1) }
                for tensor in [layer.beta.value, layer.runningMean] { tensor.fill(0) }
            }
        }
        for parameter in parameters {
            parameter.moments = []
            parameter.applyMask()
        }
    }
}
