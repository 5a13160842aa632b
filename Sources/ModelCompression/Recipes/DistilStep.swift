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

    internal var configuration: DistillationConfiguration { DistillationConfiguration(temperature: temperature, softWeight: softWeight) }
}

extension RecipeDistillation: RecipeStep {
    static let name = "distil"

    func check(_ plan: inout RecipePlan) throws(CompressionError) {
        try configuration.validate()
        try training.configuration(threads: 1).validate()
    }

    func make(_ run: CompressionRun, index: Int) throws {
        let logits = try TeacherLogits(of: run.teacher, on: run.training, threads: run.threads)
        try run.train(training, index: index, loss: DistillationLoss(configuration, student: run.network, data: run.training, teachers: [logits]))
    }
}
