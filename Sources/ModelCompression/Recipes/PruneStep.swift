/// Pruning in a recipe: a `PruningConfiguration` and the fine-tuning behind or during it.
public struct RecipePruning: Sendable, Hashable, Codable {
    public var pruning: PruningConfiguration
    public var fineTuning: RecipeTraining

    public init(_ pruning: PruningConfiguration, fineTuning: RecipeTraining = RecipeTraining()) {
        (self.pruning, self.fineTuning) = (pruning, fineTuning)
    }
}

extension RecipePruning: RecipeStep {
    static let name = "prune"

    func check(_ plan: inout RecipePlan) throws(CompressionError) {
        try fineTuning.configuration(threads: 1).validate()
        if case .rewound(let epoch) = pruning.start {
            guard plan.epochs > 0 else {
                throw .outOfRange(what: "start of step \(plan.index + 1)", allowed: "kept or reinitialized without training before", found: "rewound")
            }
            guard (-1..<plan.epochs).contains(epoch) else {
                throw .outOfRange(
                    what: "epoch to which step \(plan.index + 1) rewinds", allowed: "-1…\(plan.epochs - 1), of the training before", found: "\(epoch)"
                )
            }
        }
        try requireMore(than: plan.lastPruning, index: plan.index)
        plan.lastPruning = pruning
        try pruning.validate()
        let layers = try pruning.layers(of: plan.network).map(\.name)
        plan.pruned.formUnion(layers)
        // Outputs that go take the inputs of the layers behind with them.
        let all = plan.network.weightedLayers.map(\.name)
        if pruning.granularity.isStructured, let first = all.firstIndex(where: layers.contains) { plan.pruned.formUnion(all[first...]) }
    }

    /// What is pruned stays pruned: the same or a smaller share of the same weights changes nothing.
    private func requireMore(than last: PruningConfiguration?, index: Int) throws(CompressionError) {
        guard let last, last.granularity == pruning.granularity, last.excludedLayers == pruning.excludedLayers, last.layerSparsity.isEmpty,
            pruning.layerSparsity.isEmpty, pruning.sparsity <= last.sparsity
        else { return }
        throw .outOfRange(
            what: "sparsity of step \(index + 1)", allowed: "more than \(last.sparsity), which a step before has pruned", found: "\(pruning.sparsity)"
        )
    }

    func make(_ run: CompressionRun, index: Int) throws {
        let pruner = try Pruner(run.network, configuration: pruning, data: run.training, parallelism: run.parallelism)
        try run.prune(pruner, fineTuning: fineTuning, index: index)
    }
}

extension CompressionRecipe {
    /// The same recipe with scopes of prunings spelled out, as recipes of versions without defaults are.
    internal var resolved: CompressionRecipe {
        var result = self
        for case (let index, .prune(var options)) in steps.enumerated() {
            options.pruning = options.pruning.resolved
            result.steps[index] = .prune(options)
        }
        return result
    }
}

// MARK: - JSON

extension RecipePruning {
    private static let names = [
        "ratio", "sparsity", "score", "granularity", "scope", "schedule", "layerSparsity", "excludedLayers", "start", "fineTuning", "seed", "rounds",
        "rewindEpoch", "startSeed", "begin", "end", "every", "scoreBatchSize", "scoreSamples",
    ]

    /// `ratio` (all weights / kept ones) or `sparsity` 0…1; `score`, `schedule` and `start` by name; `granularity` "weights", "units", "channels",
    /// "4x1" or "2:4"; `scope` by name, the default of the score where it is absent; `begin`, `end` (shares of the fine-tuning's steps) and `every`
    /// (steps) of gradual schedules, `rounds` of iterative ones. An option that has no effect beside the others is an error.
    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "prune", names: Self.names)
        let granularity = try Self.granularity(fields.value("granularity", or: "weights"))
        let score = try Self.score(fields)
        let other = PruningConfiguration(sparsity: 1)
        pruning = PruningConfiguration(
            sparsity: try Self.sparsity(fields, granularity), score: score, granularity: granularity,
            scope: try granularity.isNOfM ? nil : fields.optional("scope"), schedule: try Self.schedule(fields),
            layerSparsity: try fields.value("layerSparsity", or: [:]), excludedLayers: try fields.value("excludedLayers", or: []),
            start: try Self.start(fields),
            scoreBatchSize: try score.needsData ? fields.value("scoreBatchSize", or: other.scoreBatchSize) : other.scoreBatchSize,
            scoreSamples: try score.needsData ? fields.value("scoreSamples", or: other.scoreSamples) : other.scoreSamples)
        fineTuning = try fields.value("fineTuning", or: RecipeTraining())
        try fields.requireAllRead()
    }

    private static func sparsity(_ fields: StrictFields, _ granularity: PruningGranularity) throws -> Double {
        let ratio: Double? = try fields.optional("ratio"), sparsity: Double? = try fields.optional("sparsity")
        var fraction = sparsity ?? ratio.map { 1 - 1 / $0 }
        if fraction == nil, case .nOfM(let kept, let group) = granularity { fraction = 1 - Double(kept) / Double(group) }
        guard let fraction, fraction > 0, fraction <= 1, ratio == nil || sparsity == nil else {
            throw CompressionError.outOfRange(
                what: "ratio or sparsity of prune", allowed: "a ratio above 1, or a sparsity above 0 and at most 1",
                found: "\(ratio.map { "ratio \($0)" } ?? "") \(sparsity.map { "sparsity \($0)" } ?? "")")
        }
        return fraction
    }

    private static func scores(_ seed: UInt64) -> [(name: String, value: PruningScore)] {
        [
            ("magnitude", .magnitudeL1), ("magnitudeL2", .magnitudeL2), ("random", .random(seed: seed)),
            ("gradientTimesWeight", .gradientTimesWeight), ("taylor", .taylor), ("activationTimesWeight", .activationTimesWeight),
            ("secondOrderDiagonal", .secondOrderDiagonal), ("secondOrderCorrected", .secondOrderCorrected),
        ]
    }

    private static func score(_ fields: StrictFields) throws -> PruningScore {
        let score = try fields.choice("score", or: "magnitude", scores(0))
        if case .random = score { return .random(seed: try fields.value("seed", or: 0)) }
        return score
    }

    private static func schedule(_ fields: StrictFields) throws -> PruningSchedule {
        let name = try fields.choice("schedule", or: "oneShot", ["oneShot", "linear", "cubic", "iterative"].map { ($0, $0) })
        if name == "oneShot" { return .oneShot }
        if name == "iterative" { return .iterative(rounds: try fields.value("rounds", or: 3)) }
        let begin: Double = try fields.value("begin", or: 0), end: Double = try fields.value("end", or: 0.6),
            every: Int = try fields.value("every", or: 100)
        return name == "linear" ? .linear(begin: begin, end: end, every: every) : .cubic(begin: begin, end: end, every: every)
    }

    private static func start(_ fields: StrictFields) throws -> FineTuningStart {
        switch try fields.choice("start", or: "kept", ["kept", "rewound", "reinitialized"].map { ($0, $0) }) {
        case "kept": .keptWeights
        case "rewound": .rewound(epoch: try fields.value("rewindEpoch", or: 0))
        default: .reinitialized(seed: try fields.value("startSeed", or: 0))
        }
    }

    private static let granularities: [(name: String, value: PruningGranularity)] = [
        ("weights", .weights), ("units", .units), ("channels", .channels),
    ]

    private static func granularity(_ name: String) throws -> PruningGranularity {
        let blocks = name.split(separator: "x").compactMap { Int($0) }, nOfM = name.split(separator: ":").compactMap { Int($0) }
        if blocks.count == 2 { return .blocks(rows: blocks[0], columns: blocks[1]) }
        if nOfM.count == 2 { return .nOfM(keep: nOfM[0], of: nOfM[1]) }
        guard let choice = granularities.first(where: { $0.name == name }) else {
            throw CompressionError.outOfRange(what: "granularity of prune", allowed: "weights, units, channels, 4x1, 2:4, …", found: name)
        }
        return choice.value
    }

    /// Every option that has an effect.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: StrictFields.Key.self)
        try container.put("sparsity", pruning.sparsity)
        if case .random(let seed) = pruning.score { try container.put("seed", seed) }
        var seed: UInt64 = 0
        if case .random(let given) = pruning.score { seed = given }
        try container.put("score", Self.scores(seed).first { $0.value == pruning.score }?.name)
        switch pruning.granularity {
        case .blocks(let rows, let columns): try container.put("granularity", "\(rows)x\(columns)")
        case .nOfM(let kept, let group): try container.put("granularity", "\(kept):\(group)")
        case .weights, .units, .channels:
            try container.put("granularity", Self.granularities.first { $0.value == pruning.granularity }?.name)
        }
        if let scope = pruning.scope, !pruning.granularity.isNOfM { try container.put("scope", scope) }
        try encodeSchedule(&container)
        if pruning.score.needsData {
            try container.put("scoreBatchSize", pruning.scoreBatchSize)
            try container.put("scoreSamples", pruning.scoreSamples)
        }
        try container.put("layerSparsity", pruning.layerSparsity)
        try container.put("excludedLayers", pruning.excludedLayers.sorted())
        try container.put("fineTuning", fineTuning)
    }

    private func encodeSchedule(_ container: inout KeyedEncodingContainer<StrictFields.Key>) throws {
        switch pruning.schedule {
        case .oneShot: try container.put("schedule", "oneShot")
        case .linear(let begin, let end, let every), .cubic(let begin, let end, let every):
            if case .linear = pruning.schedule { try container.put("schedule", "linear") } else { try container.put("schedule", "cubic") }
            try container.put("begin", begin)
            try container.put("end", end)
            try container.put("every", every)
        case .iterative(let rounds):
            try container.put("schedule", "iterative")
            try container.put("rounds", rounds)
        }
        switch pruning.start {
        case .keptWeights: try container.put("start", "kept")
        case .rewound(let epoch):
            try container.put("start", "rewound")
            try container.put("rewindEpoch", epoch)
        case .reinitialized(let given):
            try container.put("start", "reinitialized")
            try container.put("startSeed", given)
        }
    }
}
