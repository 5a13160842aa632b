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
    case trainQuantized(RecipeQuantizedTraining)
    /// Quantizes what is deployed, without training; the last step.
    case quantize(RecipeQuantization)

    /// One row for each kind of step: its name, and how it is read.
    private static let kinds: [(name: String, read: @Sendable (StrictFields, String) throws -> CompressionStep)] = [
        row(RecipeTraining.self, CompressionStep.train), row(RecipePruning.self, CompressionStep.prune),
        row(RemoveOutputsStep.self) { _ in .removePrunedOutputs }, row(FoldStep.self) { _ in .foldBatchNormalization },
        row(RecipeDistillation.self, CompressionStep.distil), row(RecipeQuantizedTraining.self, CompressionStep.trainQuantized),
        row(RecipeQuantization.self, CompressionStep.quantize),
    ]

    private static func row<Step: RecipeStep>(
        _: Step.Type, _ wrap: @escaping @Sendable (Step) -> CompressionStep
    ) -> (name: String, read: @Sendable (StrictFields, String) throws -> CompressionStep) {
        (Step.name, { fields, name in wrap(try fields.required(name, Step.self)) })
    }

    internal var step: any RecipeStep {
        switch self {
        case .train(let step): step
        case .prune(let step): step
        case .removePrunedOutputs: RemoveOutputsStep()
        case .foldBatchNormalization: FoldStep()
        case .distil(let step): step
        case .trainQuantized(let step): step
        case .quantize(let step): step
        }
    }

    /// The key in JSON.
    public var name: String { type(of: step).name }

    public init(from decoder: any Decoder) throws {
        let names = Self.kinds.map(\.name), fields = try StrictFields(decoder, of: "a step", names: names)
        guard fields.names.count == 1, let kind = Self.kinds.first(where: { $0.name == fields.names[0] }) else {
            throw CompressionError.outOfRange(
                what: "keys of a step", allowed: "one of \(names.joined(separator: ", "))", found: "\(fields.names.sorted())")
        }
        self = try kind.read(fields, kind.name)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: StrictFields.Key.self)
        try container.put(name, step)
    }
}

extension KeyedEncodingContainer<StrictFields.Key> {
    fileprivate mutating func put(_ name: String, _ step: any RecipeStep) throws {
        func put(_ step: some RecipeStep) throws { try encode(step, forKey: StrictFields.Key(name)) }
        try put(step)
    }
}
