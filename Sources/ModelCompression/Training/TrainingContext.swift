public import CompactNumerics

/// What a forward or backward pass needs to know besides its tensors.
public final class TrainingContext {
    /// Whether dropout drops and batch normalization uses the statistics of the batch.
    public var isTraining: Bool
    /// What layers round to.
    public var arithmetic: Arithmetic
    /// Changes with each step: all randomness of a pass derives from it.
    public var stepSeed: UInt64
    /// Threads of matrix products.
    public var parallelism: Parallelism

    public init(
        isTraining: Bool = false, arithmetic: Arithmetic = .float32, stepSeed: UInt64 = 0, parallelism: Parallelism = .serial
    ) {
        (self.isTraining, self.arithmetic, self.stepSeed, self.parallelism) = (isTraining, arithmetic, stepSeed, parallelism)
    }
}
