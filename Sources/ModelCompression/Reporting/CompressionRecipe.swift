public import Foundation

/// A step of a recipe. In JSON an object with one key, the step's name: {"prune": {"ratio": 12}}.
public enum CompressionStep: Sendable, Hashable, Codable {
    /// Trains all weights that no mask prunes.
    case train(RecipeTraining)
    /// Prunes and fine-tunes.
    case prune(RecipePruning)
    /// Makes the network really smaller: outputs without weights go.
    case removePrunedOutputs
    case foldBatchNormalization
    /// Trains with soft targets of the network as it was before the recipe's first step but training, its teacher.
    case distil(RecipeDistillation)
    /// Prepares and trains the integers that will be deployed.
    case trainQuantized(RecipeQuantization)
    /// Quantizes what is deployed, without training; the last step.
    case quantize(RecipeQuantization)

    private static let names = ["train", "prune", "removePrunedOutputs", "foldBatchNormalization", "distil", "trainQuantized", "quantize"]

    /// The key in JSON.
    public var name: String {
        switch self {
        case .train: "train"
        case .prune: "prune"
        case .removePrunedOutputs: "removePrunedOutputs"
        case .foldBatchNormalization: "foldBatchNormalization"
        case .distil: "distil"
        case .trainQuantized: "trainQuantized"
        case .quantize: "quantize"
        }
    }

    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "a step", names: Self.names)
        guard fields.names.count == 1 else {
            throw CompressionError.outOfRange(
                what: "keys of a step", allowed: "one of \(Self.names.joined(separator: ", "))", found: "\(fields.names.sorted())")
        }
        switch fields.names[0] {
        case "train": self = .train(try fields.required("train"))
        case "prune": self = .prune(try fields.required("prune"))
        case "removePrunedOutputs": self = try fields.nothing("removePrunedOutputs", .removePrunedOutputs)
        case "foldBatchNormalization": self = try fields.nothing("foldBatchNormalization", .foldBatchNormalization)
        case "distil": self = .distil(try fields.required("distil"))
        case "trainQuantized": self = .trainQuantized(try fields.required("trainQuantized"))
        default: self = .quantize(try fields.required("quantize"))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: StrictFields.Key.self)
        let key = StrictFields.Key(name)
        switch self {
        case .train(let options): try container.encode(options, forKey: key)
        case .prune(let options): try container.encode(options, forKey: key)
        case .distil(let options): try container.encode(options, forKey: key)
        case .trainQuantized(let options), .quantize(let options): try container.encode(options, forKey: key)
        case .removePrunedOutputs, .foldBatchNormalization: try container.encode([String: Int](), forKey: key)
        }
    }
}

extension StrictFields {
    /// A member whose value is an empty object.
    fileprivate func nothing(_ name: String, _ step: CompressionStep) throws -> CompressionStep {
        let options: [String: Int] = try required(name)
        if let unknown = options.keys.sorted().first {
            throw CompressionError.outOfRange(what: "key of \(name)", allowed: "none", found: unknown)
        }
        return step
    }
}

/// Pruning in a recipe: a `PruningConfiguration` and the fine-tuning behind or during it.
public struct RecipePruning: Sendable, Hashable, Codable {
    public var pruning: PruningConfiguration
    public var fineTuning: RecipeTraining

    public init(_ pruning: PruningConfiguration, fineTuning: RecipeTraining = RecipeTraining()) {
        (self.pruning, self.fineTuning) = (pruning, fineTuning)
    }

    private static let names = [
        "ratio", "sparsity", "score", "granularity", "scope", "schedule", "layerSparsity", "excludedLayers", "start", "fineTuning", "seed", "rounds",
        "rewindEpoch", "startSeed", "begin", "end", "every", "scoreBatchSize", "scoreSamples",
    ]

    /// `ratio` (all weights / kept ones) or `sparsity` 0…1; `score`, `schedule` and `start` by name; `granularity` "weights", "units", "channels",
    /// "4x1" or "2:4"; `begin`, `end` (shares of the fine-tuning's steps) and `every` (steps) of gradual schedules, `rounds` of iterative ones.
    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "prune", names: Self.names)
        let ratio: Double? = try fields.optional("ratio"), sparsity: Double? = try fields.optional("sparsity"),
            seed: UInt64 = try fields.value("seed", or: 0)
        let granularity = try Self.granularity(fields.value("granularity", or: "weights"))
        var fraction = sparsity ?? ratio.map { 1 - 1 / $0 }
        if fraction == nil, case .nOfM(let kept, let group) = granularity { fraction = 1 - Double(kept) / Double(group) }
        guard let fraction, fraction > 0, fraction <= 1, ratio == nil || sparsity == nil else {
            throw CompressionError.outOfRange(
                what: "ratio or sparsity of prune", allowed: "a ratio above 1, or a sparsity above 0 and at most 1",
                found: "\(ratio.map { "ratio \($0)" } ?? "") \(sparsity.map { "sparsity \($0)" } ?? "")")
        }
        pruning = PruningConfiguration(
            sparsity: fraction, score: try Self.score(fields.value("score", or: "magnitude"), seed), granularity: granularity,
            scope: try fields.value("scope", or: .global), schedule: try Self.schedule(fields),
            layerSparsity: try fields.value("layerSparsity", or: [:]), excludedLayers: try fields.value("excludedLayers", or: []),
            start: try Self.start(fields.value("start", or: "kept"), fields.value("startSeed", or: 0), fields.value("rewindEpoch", or: 0)),
            scoreBatchSize: try fields.value("scoreBatchSize", or: 32), scoreSamples: try fields.value("scoreSamples", or: 4096))
        fineTuning = try fields.value("fineTuning", or: RecipeTraining())
    }

    private static func choose<Value>(_ what: String, _ name: String, _ choices: [(String, Value)]) throws -> Value {
        guard let choice = choices.first(where: { $0.0 == name }) else {
            throw CompressionError.outOfRange(what: "\(what) of prune", allowed: choices.map(\.0).joined(separator: ", "), found: name)
        }
        return choice.1
    }

    private static func scores(_ seed: UInt64) -> [(String, PruningScore)] {
        [
            ("magnitude", .magnitudeL1), ("magnitudeL2", .magnitudeL2), ("random", .random(seed: seed)),
            ("gradientTimesWeight", .gradientTimesWeight),
            ("taylor", .taylor), ("activationTimesWeight", .activationTimesWeight), ("secondOrderDiagonal", .secondOrderDiagonal),
            ("secondOrderCorrected", .secondOrderCorrected),
        ]
    }

    private static func score(_ name: String, _ seed: UInt64) throws -> PruningScore { try choose("score", name, scores(seed)) }

    private static func schedule(_ fields: StrictFields) throws -> PruningSchedule {
        let begin: Double = try fields.value("begin", or: 0), end: Double = try fields.value("end", or: 0.6),
            every: Int = try fields.value("every", or: 100)
        return try choose(
            "schedule", fields.value("schedule", or: "oneShot"),
            [
                ("oneShot", .oneShot), ("linear", .linear(begin: begin, end: end, every: every)),
                ("cubic", .cubic(begin: begin, end: end, every: every)),
                ("iterative", .iterative(rounds: fields.value("rounds", or: 3))),
            ])
    }

    private static func start(_ name: String, _ seed: UInt64, _ epoch: Int) throws -> FineTuningStart {
        try choose("start", name, [("kept", .keptWeights), ("rewound", .rewound(epoch: epoch)), ("reinitialized", .reinitialized(seed: seed))])
    }

    private static func granularity(_ name: String) throws -> PruningGranularity {
        let blocks = name.split(separator: "x").compactMap { Int($0) }, nOfM = name.split(separator: ":").compactMap { Int($0) }
        if blocks.count == 2 { return .blocks(rows: blocks[0], columns: blocks[1]) }
        if nOfM.count == 2 { return .nOfM(keep: nOfM[0], of: nOfM[1]) }
        guard let choice = [("weights", PruningGranularity.weights), ("units", .units), ("channels", .channels)].first(where: { $0.0 == name }) else {
            throw CompressionError.outOfRange(what: "granularity of prune", allowed: "weights, units, channels, 4x1, 2:4, …", found: name)
        }
        return choice.1
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: StrictFields.Key.self)
        func put(_ name: String, _ value: some Encodable) throws { try container.encode(value, forKey: StrictFields.Key(name)) }
        try put("sparsity", pruning.sparsity)
        var seed: UInt64 = 0
        if case .random(let given) = pruning.score { seed = given }
        try put("score", Self.scores(seed).first { $0.1 == pruning.score }!.0)
        switch pruning.granularity {
        case .weights: try put("granularity", "weights")
        case .units: try put("granularity", "units")
        case .channels: try put("granularity", "channels")
        case .blocks(let rows, let columns): try put("granularity", "\(rows)x\(columns)")
        case .nOfM(let kept, let group): try put("granularity", "\(kept):\(group)")
        }
        try put("scope", pruning.scope)
        switch pruning.schedule {
        case .oneShot: try put("schedule", "oneShot")
        case .linear(let begin, let end, let every), .cubic(let begin, let end, let every):
            if case .linear = pruning.schedule { try put("schedule", "linear") } else { try put("schedule", "cubic") }
            try put("begin", begin)
            try put("end", end)
            try put("every", every)
        case .iterative(let rounds):
            try put("schedule", "iterative")
            try put("rounds", rounds)
        }
        try put("scoreBatchSize", pruning.scoreBatchSize)
        try put("scoreSamples", pruning.scoreSamples)
        switch pruning.start {
        case .keptWeights: try put("start", "kept")
        case .rewound(let epoch):
            try put("start", "rewound")
            try put("rewindEpoch", epoch)
        case .reinitialized(let given):
            try put("start", "reinitialized")
            try put("startSeed", given)
        }
        try put("seed", seed)
        try put("layerSparsity", pruning.layerSparsity)
        try put("excludedLayers", pruning.excludedLayers.sorted())
        try put("fineTuning", fineTuning)
    }
}

/// Distillation in a recipe.
public struct RecipeDistillation: Sendable, Hashable, Codable {
    public var temperature: Double
    public var softWeight: Double
    public var training: RecipeTraining

    public init(temperature: Double = 2, softWeight: Double = 0.9, training: RecipeTraining = RecipeTraining()) {
        (self.temperature, self.softWeight, self.training) = (temperature, softWeight, training)
    }

    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "distil", names: ["temperature", "softWeight", "training"])
        temperature = try fields.value("temperature", or: 2)
        softWeight = try fields.value("softWeight", or: 0.9)
        training = try fields.value("training", or: RecipeTraining())
    }
}

/// Quantization in a recipe; `training` is for `trainQuantized` alone.
public struct RecipeQuantization: Sendable, Hashable, Codable {
    public var configuration: QuantizationConfiguration
    public var training: RecipeTraining

    public init(_ configuration: QuantizationConfiguration, training: RecipeTraining = RecipeTraining()) {
        (self.configuration, self.training) = (configuration, training)
    }

    private static let names = [
        "format", "layerFormats", "activations", "calibration", "rounding", "weights", "foldsBatchNormalization", "equalizesLayers", "correctsBias",
        "samples", "training",
        "calibrationShare",
    ]

    // `share` is that of a moving average, or outside of a percentile.
    private static func calibrations(share: Double?) -> [(String, CalibrationMethod)] {
        [
            ("minMax", .minMax), ("movingAverage", share.map { .movingAverage(share: $0) } ?? .movingAverage()),
            ("percentile", share.map { .percentile(outside: $0) } ?? .percentile()), ("meanSquaredError", .meanSquaredError), ("entropy", .entropy),
        ]
    }

    /// All but `format` may be absent; `calibration` is a name, `calibrationShare` the number of a moving average or percentile.
    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "quantization", names: Self.names)
        let name: String = try fields.value("calibration", or: "minMax")
        let choices = Self.calibrations(share: try fields.optional("calibrationShare"))
        guard let calibration = choices.first(where: { $0.0 == name })?.1 else {
            throw CompressionError.outOfRange(what: "calibration of quantization", allowed: choices.map(\.0).joined(separator: ", "), found: name)
        }
        let other = QuantizationConfiguration(format: .float32)
        configuration = QuantizationConfiguration(
            format: try fields.required("format"), layerFormats: try fields.value("layerFormats", or: [:]),
            activations: try fields.value("activations", or: other.activations), calibration: calibration,
            rounding: try fields.value("rounding", or: other.rounding), weights: try fields.value("weights", or: other.weights),
            foldsBatchNormalization: try fields.value("foldsBatchNormalization", or: other.foldsBatchNormalization),
            equalizesLayers: try fields.value("equalizesLayers", or: other.equalizesLayers),
            correctsBias: try fields.value("correctsBias", or: other.correctsBias), samples: try fields.value("samples", or: other.samples))
        training = try fields.value("training", or: RecipeTraining())
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: StrictFields.Key.self)
        func put(_ name: String, _ value: some Encodable) throws { try container.encode(value, forKey: StrictFields.Key(name)) }
        try put("format", configuration.format)
        try put("layerFormats", configuration.layerFormats)
        try put("activations", configuration.activations)
        var share: Double?
        switch configuration.calibration {
        case .movingAverage(let value), .percentile(let value): share = value
        case .minMax, .meanSquaredError, .entropy: break
        }
        try put("calibration", Self.calibrations(share: share).first { $0.1 == configuration.calibration }!.0)
        if let share { try put("calibrationShare", share) }
        try put("rounding", configuration.rounding)
        try put("weights", configuration.weights)
        try put("foldsBatchNormalization", configuration.foldsBatchNormalization)
        try put("equalizesLayers", configuration.equalizesLayers)
        try put("correctsBias", configuration.correctsBias)
        try put("samples", configuration.samples)
        try put("training", training)
    }
}

/// Steps that compress a network, one after the other: {"name": "…", "steps": [{"train": {}}, {"prune": {"ratio": 12}}, …]}.
public struct CompressionRecipe: Sendable, Hashable, Codable {
    public var name: String
    public var steps: [CompressionStep]

    public init(name: String, steps: [CompressionStep]) {
        (self.name, self.steps) = (name, steps)
    }

    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "a recipe", names: ["name", "steps"])
        name = try fields.value("name", or: "recipe")
        steps = try fields.required("steps")
    }

    /// A recipe from JSON text.
    ///
    /// - Throws: `CompressionError.damagedFile` for text that is no JSON, `.outOfRange` for unknown keys and values that mean nothing.
    public init(json: Data, path: String = "recipe") throws(CompressionError) {
        do {
            self = try JSONDecoder().decode(CompressionRecipe.self, from: json)
        } catch let error as CompressionError {
            throw error
        } catch {
            throw .damagedFile(
                path: path, what: "recipe", expected: "JSON of the form {\"name\": …, \"steps\": [{\"train\": {…}}, …]}", found: "\(error)")
        }
    }

    /// The recipe as JSON, every option spelled out.
    public func json() -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)) ?? Data()
    }

    /// - Throws: `CompressionError` for steps that contradict each other, or options that do not fit `network`.
    public func validate(for network: TrainableNetwork) throws(CompressionError) {
        guard !steps.isEmpty else { throw .outOfRange(what: "steps of a recipe", allowed: "at least 1", found: "0") }
        var isQuantized = false
        for (index, step) in steps.enumerated() {
            if isQuantized {
                throw .outOfRange(what: "step \(index + 1) of the recipe", allowed: "none behind quantization", found: step.name)
            }
            switch step {
            case .train(let training): try training.configuration(threads: 1).validate()
            case .prune(let options):
                try options.fineTuning.configuration(threads: 1).validate()
                if case .rewound = options.pruning.start, !steps[..<index].contains(where: { if case .train = $0 { true } else { false } }) {
                    throw .outOfRange(what: "start of step \(index + 1)", allowed: "kept or reinitialized without training before", found: "rewound")
                }
                try options.pruning.validate()
                _ = try options.pruning.layers(of: network)
            case .distil(let options):
                try DistillationConfiguration(temperature: options.temperature, softWeight: options.softWeight).validate()
                try options.training.configuration(threads: 1).validate()
            case .trainQuantized(let options):
                try options.configuration.validate(for: network)
                try options.training.configuration(threads: 1).validate()
                isQuantized = true
            case .quantize(let options):
                try options.configuration.validate(for: network)
                isQuantized = true
            case .removePrunedOutputs, .foldBatchNormalization: break
            }
        }
    }
}
