internal import CompactNumerics

/// What a step of a recipe has to tell: its name, and how it is checked, made and made again. A step is one file of this folder and a row of
/// `CompressionStep.kinds`.
internal protocol RecipeStep: Codable, Sendable {
    /// The key in JSON.
    static var name: String { get }

    /// Checks everything that can be known before anything runs, and notes in `plan` what later steps have to know.
    func check(_ plan: inout RecipePlan) throws(CompressionError)

    /// Changes the network of `run`, or deploys it.
    func make(_ run: CompressionRun, index: Int) throws

    /// Gives the network of `run`, which is as it was before this step, the structure that it has behind it; its numbers are then read from a file.
    func remakeStructure(_ run: CompressionRun) throws
}

extension RecipeStep {
    func remakeStructure(_ run: CompressionRun) throws {}
}

/// What the steps of a recipe so far will have made of a network, as far as that is known beforehand.
internal struct RecipePlan {
    let network: TrainableNetwork
    /// Of the step that is checked, from 0.
    var index = 0
    /// Epochs of the longest training before, to one of which a later step can rewind.
    var epochs = 0
    /// What the last pruning asked for.
    var lastPruning: PruningConfiguration?
    /// Whether nothing may follow.
    var isQuantized = false
    /// Layers that have pruned weights.
    var pruned: Set<String>

    init(_ network: TrainableNetwork) {
        self.network = network
        pruned = network.prunedLayers
    }
}
