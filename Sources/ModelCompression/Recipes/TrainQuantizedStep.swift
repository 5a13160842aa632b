/// Quantization-aware training in a recipe: the integers that will be deployed. Batch normalization that the configuration folds is folded first.
public struct RecipeQuantizedTraining: Sendable, Hashable, Codable {
    public var configuration: QuantizationConfiguration
    public var training: RecipeTraining

    public init(_ configuration: QuantizationConfiguration, training: RecipeTraining = RecipeTraining()) {
        (self.configuration, self.training) = (configuration, training)
    }

    /// The keys of `RecipeQuantization`, and `training`.
    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "quantization", names: QuantizationConfiguration.names + ["training"])
        configuration = try QuantizationConfiguration(fields)
        training = try fields.value("training", or: RecipeTraining())
        try fields.requireAllRead()
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: StrictFields.Key.self)
        try configuration.encode(into: &container)
        try container.put("training", training)
    }
}

extension RecipeQuantizedTraining: RecipeStep {
    static let name = "trainQuantized"

    func check(_ plan: inout RecipePlan) throws(CompressionError) {
        try configuration.validateForTraining(plan.network, pruned: plan.pruned)
        try training.configuration(threads: 1).validate()
        plan.isQuantized = true
    }

    func make(_ run: CompressionRun, index: Int) throws {
        try remakeStructure(run)
        try run.train(training, index: index)
    }

    func remakeStructure(_ run: CompressionRun) throws {
        var configuration = configuration
        if configuration.foldsBatchNormalization { run.network = try run.network.foldingBatchNormalization() }
        configuration.foldsBatchNormalization = false
        try run.network.prepareQuantizationAwareTraining(configuration, data: run.training, parallelism: run.parallelism)
    }
}
