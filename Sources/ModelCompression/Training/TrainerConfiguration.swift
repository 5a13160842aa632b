/// What a training run depends on besides network, data and loss. The same configuration gives the same bits on the same machine.
public struct TrainerConfiguration: Sendable, Hashable, Codable {
    public var epochs: Int
    /// Samples of a step; the last one of an epoch may have fewer.
    public var batchSize: Int
    public var optimizer: Optimizer
    public var learningRate: Double
    public var schedule: LearningRateSchedule
    /// Of the order of samples and of dropout.
    public var seed: UInt64
    public var arithmetic: Arithmetic
    public var lossScaling: LossScaling
    /// Threads of matrix products.
    public var threads: Int

    public init(
        epochs: Int = 12, batchSize: Int = 128, optimizer: Optimizer = .adam, learningRate: Double = 1e-3,
        schedule: LearningRateSchedule = .cosine, seed: UInt64 = 0, arithmetic: Arithmetic = .float32, lossScaling: LossScaling = .none,
        threads: Int = 1
    ) {
        (self.epochs, self.batchSize, self.optimizer, self.learningRate) = (epochs, batchSize, optimizer, learningRate)
        (self.schedule, self.seed, self.arithmetic, self.lossScaling, self.threads) = (schedule, seed, arithmetic, lossScaling, threads)
    }

    /// - Throws: `CompressionError.outOfRange` for an option with which no training works.
    public func validate() throws(CompressionError) {
        for (what, value, limit) in [("epochs", epochs, 1_000_000), ("batch size", batchSize, 1 << 24), ("threads", threads, 1024)]
        where !(1...limit).contains(value) {
            throw .outOfRange(what: what, allowed: "1…\(limit)", found: "\(value)")
        }
        guard learningRate > 0, learningRate.isFinite else {
            throw .outOfRange(what: "learning rate", allowed: "a positive, finite number", found: "\(learningRate)")
        }
        try optimizer.validate()
        try schedule.validate()
        try lossScaling.validate()
    }
}
