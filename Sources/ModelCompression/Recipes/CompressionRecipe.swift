public import Foundation

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
        try fields.requireAllRead()
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

    /// - Throws: `CompressionError` for steps that contradict each other, or options that do not fit `network` or the steps before.
    public func validate(for network: TrainableNetwork) throws(CompressionError) {
        guard !steps.isEmpty else { throw .outOfRange(what: "steps of a recipe", allowed: "at least 1", found: "0") }
        var plan = RecipePlan(network)
        for (index, step) in steps.enumerated() {
            if plan.isQuantized {
                throw .outOfRange(what: "step \(index + 1) of the recipe", allowed: "none behind quantization", found: step.name)
            }
            plan.index = index
            try step.step.check(&plan)
        }
    }
}

extension CompressionRecipe {
    /// Steps at the beginning that only train.
    internal var leadingTraining: Int {
        steps.firstIndex { if case .train = $0 { false } else { true } } ?? steps.count
    }

    /// What was pruned as one, the last first.
    internal var granularities: [PruningGranularity] {
        steps.reversed().compactMap { step in
            if case .prune(let options) = step { options.pruning.granularity } else { nil }
        }
    }

    /// Epochs of training that a later step rewinds to.
    internal var rewindEpochs: Set<Int> {
        Set(
            steps.compactMap { step in
                if case .prune(let options) = step, case .rewound(let epoch) = options.pruning.start { epoch } else { nil }
            })
    }
}
