/// Options of a training or fine-tuning run in a recipe; what is absent in JSON has the values of `init`. As a step of its own it trains all
/// weights that no mask prunes.
public struct RecipeTraining: Sendable, Hashable, Codable {
    public var epochs: Int
    public var batchSize: Int
    public var learningRate: Double
    /// Adam's decoupled weight decay.
    public var weightDecay: Float
    public var seed: UInt64
    public var arithmetic: Arithmetic
    /// Dynamic loss scaling.
    public var scalesLoss: Bool

    public init(
        epochs: Int = 12, batchSize: Int = 128, learningRate: Double = 1e-3, weightDecay: Float = 0.05, seed: UInt64 = 0,
        arithmetic: Arithmetic = .float32, scalesLoss: Bool = false
    ) {
        (self.epochs, self.batchSize, self.learningRate, self.weightDecay) = (epochs, batchSize, learningRate, weightDecay)
        (self.seed, self.arithmetic, self.scalesLoss) = (seed, arithmetic, scalesLoss)
    }

    public init(from decoder: any Decoder) throws {
        let names = ["epochs", "batchSize", "learningRate", "weightDecay", "seed", "arithmetic", "scalesLoss"]
        let fields = try StrictFields(decoder, of: "training", names: names), other = RecipeTraining()
        epochs = try fields.value("epochs", or: other.epochs)
        batchSize = try fields.value("batchSize", or: other.batchSize)
        learningRate = try fields.value("learningRate", or: other.learningRate)
        weightDecay = try fields.value("weightDecay", or: other.weightDecay)
        seed = try fields.value("seed", or: other.seed)
        arithmetic = try fields.value("arithmetic", or: other.arithmetic)
        scalesLoss = try fields.value("scalesLoss", or: other.scalesLoss)
    }

    internal func configuration(threads: Int) -> TrainerConfiguration {
        TrainerConfiguration(
            epochs: epochs, batchSize: batchSize, optimizer: .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: weightDecay),
            learningRate: learningRate, seed: seed, arithmetic: arithmetic, lossScaling: scalesLoss ? .dynamic : .none, threads: threads)
    }
}

extension RecipeTraining: RecipeStep {
    static let name = "train"

    func check(_ plan: inout RecipePlan) throws(CompressionError) {
        try configuration(threads: 1).validate()
        plan.epochs = max(plan.epochs, epochs)
    }

    func make(_ run: CompressionRun, index: Int) throws { try run.train(self, index: index, hooks: [run.rewinding]) }
}
