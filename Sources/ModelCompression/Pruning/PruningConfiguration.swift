internal import Foundation

/// What a weight or group of weights is worth. A group's score is the mean of its weights' scores, so that groups of different sizes
/// compare in one scope; the smallest scores are pruned first.
public enum PruningScore: Sendable, Hashable, Codable {
    /// |w| (Han et al. 2015, arXiv:1506.02626); of groups the mean, as Li et al. 2017 (arXiv:1608.08710) rank filters.
    case magnitudeL1
    /// w²: groups are ranked by their Euclidean norm.
    case magnitudeL2
    /// A number that depends on seed, layer name and position alone.
    case random(seed: UInt64)
    /// |w · ∂L/∂w|, the gradient over all data (SNIP; Lee, Ajanthan and Torr 2019, arXiv:1810.02340).
    case gradientTimesWeight
    /// The mean over batches of (w · ∂L/∂w)² (Molchanov et al. 2019, arXiv:1906.10771).
    case taylor
    /// |w| · ‖x‖₂, the norm of the weight's input over all data (Wanda; Sun et al. 2024, arXiv:2306.11695).
    case activationTimesWeight
    /// ½ · w² · mean over samples of (∂L/∂w)²: Optimal Brain Damage (LeCun, Denker and Solla 1990) with the empirical Fisher information as
    /// diagonal of the Hessian. Each sample's gradient is squared on its own, whatever the batch size, so gradients that cancel within a batch
    /// count here and not for `taylor`.
    case secondOrderDiagonal
    /// ½ · w² / [H⁻¹]ₖₖ with H = 2 · Xᵀ·X / samples, damped by 1 % of its mean diagonal: Optimal Brain Surgeon (Hassibi and Stork 1993) for
    /// each layer's outputs. The kept weights are corrected as SparseGPT does (Frantar and Alistarh 2023, arXiv:2301.00774).
    case secondOrderCorrected

    /// Whether computing it takes samples.
    public var needsData: Bool {
        switch self {
        case .magnitudeL1, .magnitudeL2, .random: false
        default: true
        }
    }
}

/// What is pruned as one.
public enum PruningGranularity: Sendable, Hashable, Codable {
    case weights
    /// Blocks of `rows` consecutive outputs × `columns` consecutive inputs.
    case blocks(rows: Int, columns: Int)
    /// Of every `of` consecutive inputs of an output, `keep` stay (2:4: keep 2 of 4; Mishra et al. 2021, arXiv:2104.08378).
    /// At least one stays.
    case nOfM(keep: Int, of: Int)
    /// Outputs of dense layers and filters of convolutions, all but the last layer's.
    case units
    /// Filters of convolutions, all but the last layer's; dense layers stay.
    case channels

    internal var isNOfM: Bool {
        if case .nOfM = self { true } else { false }
    }

    /// Whether whole outputs go, so that the network can become smaller.
    public var isStructured: Bool { self == .units || self == .channels }
}

/// Among what scores compete.
public enum PruningScope: String, Sendable, Hashable, Codable, CaseIterable {
    /// The groups of all layers together; layers with a sparsity of their own among themselves.
    case global
    case layer
    /// The weights of each output; for single weights and blocks of one row.
    case output
}

extension PruningScore {
    /// What competes where a configuration names no scope: scores compete only with those that they compare with.
    ///
    /// - Estimates of what the loss loses (gradient × weight, Taylor, second order diagonal) have one unit in all layers: global, as their
    ///   authors rank them.
    /// - Magnitudes of single weights and blocks: global, which keeps more accuracy than layer by layer (Blalock et al. 2020,
    ///   arXiv:2003.03033). Of whole outputs the layer, as Li et al. 2017 (arXiv:1608.08710) rank filters: weights begin at ±1/√inputs, so one
    ///   scope would empty the layers of many inputs first.
    /// - Random numbers: the layer. Means over large groups lie closer to ½ than those over small ones.
    /// - Activation × weight has the units of its output's sum: the weights of an output (Sun et al. 2024, arXiv:2306.11695); of groups that span
    ///   outputs, the layer.
    /// - Second order corrected is an error of one layer's outputs: the layer (Frantar and Alistarh 2023, arXiv:2301.00774).
    public func defaultScope(of granularity: PruningGranularity) -> PruningScope {
        switch self {
        case .gradientTimesWeight, .taylor, .secondOrderDiagonal: return .global
        case .magnitudeL1, .magnitudeL2: return granularity.isStructured ? .layer : .global
        case .random, .secondOrderCorrected: return .layer
        case .activationTimesWeight: return granularity.fitsOutput ? .output : .layer
        }
    }
}

extension PruningGranularity {
    /// Whether its groups lie within one output each and are smaller than it, so that they can compete there.
    internal var fitsOutput: Bool {
        switch self {
        case .weights, .nOfM: true
        case .blocks(let rows, _): rows == 1
        case .units, .channels: false
        }
    }
}

/// When how much is pruned.
public enum PruningSchedule: Sendable, Hashable, Codable {
    /// All at once before fine-tuning.
    case oneShot
    /// During fine-tuning, every `every` steps, from the share `begin` to the share `end` of the run's steps: s(t) = s · t.
    case linear(begin: Double = 0, end: Double = 0.5, every: Int = 100)
    /// The same with s(t) = s · (1 − (1 − t)³) (Zhu and Gupta 2017, arXiv:1710.01878).
    case cubic(begin: Double = 0, end: Double = 0.5, every: Int = 100)
    /// Rounds of pruning and fine-tuning; each takes the same share of what is left: s(r) = 1 − (1 − s)^(r / rounds), or, where s = 1, s · r /
    /// rounds.
    case iterative(rounds: Int)

    /// The sparsity that a run towards `target` has at `progress` 0…1 between its begin and end; of an iterative run, after a share
    /// `progress` of its rounds.
    public func sparsity(target: Double, progress: Double) -> Double {
        let t = min(1, max(0, progress))
        switch self {
        case .oneShot: return target
        case .linear: return target * t
        case .cubic: return target * (1 - (1 - t) * (1 - t) * (1 - t))
        case .iterative: return t >= 1 ? target : target < 1 ? 1 - pow(1 - target, t) : target * t
        }
    }

    /// - Throws: `CompressionError.outOfRange` for a schedule that means nothing.
    public func validate() throws(CompressionError) {
        switch self {
        case .oneShot: break
        case .linear(let begin, let end, let every), .cubic(let begin, let end, let every):
            guard begin >= 0, begin <= end, end <= 1 else {
                throw .outOfRange(what: "begin and end of a pruning schedule", allowed: "0 ≤ begin ≤ end ≤ 1", found: "\(begin) and \(end)")
            }
            guard every >= 1 else { throw .outOfRange(what: "steps between prunings", allowed: "at least 1", found: "\(every)") }
        case .iterative(let rounds):
            guard (1...1000).contains(rounds) else { throw .outOfRange(what: "rounds of pruning", allowed: "1…1000", found: "\(rounds)") }
        }
    }
}

/// What the kept weights are when fine-tuning begins.
public enum FineTuningStart: Sendable, Hashable, Codable {
    case keptWeights
    /// As they were at the end of an earlier epoch, from 0 (Renda, Frankle and Carbin 2020, arXiv:2003.02389); −1 for before training
    /// (Frankle and Carbin 2019, arXiv:1803.03635).
    case rewound(epoch: Int)
    /// Random, as for a new network.
    case reinitialized(seed: UInt64)
}

/// What to prune, and how.
public struct PruningConfiguration: Sendable, Hashable, Codable {
    public var score: PruningScore
    public var granularity: PruningGranularity
    /// Among what scores compete; nil for what suits the score, see `PruningScore.defaultScope`. N:M compete in their groups alone.
    public var scope: PruningScope?
    public var schedule: PruningSchedule
    /// The share of groups (weights, blocks, units) to prune, 0 < sparsity ≤ 1; counts are rounded to the nearest number. Of N:M it is
    /// 1 − N / M. Groups beyond that stay only where the network would no longer depend on its inputs: see `Pruner`.
    public var sparsity: Double
    /// Sparsities of single layers by name; each is then a scope of its own.
    public var layerSparsity: [String: Double]
    /// Names of layers that stay as they are.
    public var excludedLayers: Set<String>
    public var start: FineTuningStart
    /// Samples of one batch in passes for scores.
    public var scoreBatchSize: Int
    /// How many of the samples, from the first, such a pass uses at most.
    public var scoreSamples: Int

    public init(
        sparsity: Double, score: PruningScore = .magnitudeL1, granularity: PruningGranularity = .weights, scope: PruningScope? = nil,
        schedule: PruningSchedule = .oneShot, layerSparsity: [String: Double] = [:], excludedLayers: Set<String> = [],
        start: FineTuningStart = .keptWeights, scoreBatchSize: Int = 32, scoreSamples: Int = 4096
    ) {
        (self.sparsity, self.score, self.granularity, self.scope, self.schedule) = (sparsity, score, granularity, scope, schedule)
        (self.layerSparsity, self.excludedLayers, self.start) = (layerSparsity, excludedLayers, start)
        (self.scoreBatchSize, self.scoreSamples) = (scoreBatchSize, scoreSamples)
    }

    /// A configuration for a compression of `ratio` = all weights / kept weights where no layer is an exception.
    public init(ratio: Double, score: PruningScore = .magnitudeL1, scope: PruningScope? = nil, schedule: PruningSchedule = .oneShot) {
        self.init(sparsity: 1 - 1 / ratio, score: score, scope: scope, schedule: schedule)
    }

    /// The scope that counts: `scope`, or where that is nil the default of the score.
    public var effectiveScope: PruningScope { scope ?? score.defaultScope(of: granularity) }

    /// The same configuration with its scope spelled out, so that one that names the default equals one that leaves it out.
    internal var resolved: PruningConfiguration {
        var result = self
        result.scope = effectiveScope
        return result
    }
}
