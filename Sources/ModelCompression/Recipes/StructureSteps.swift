// Steps without options, {}, that change the structure of a network.

/// Outputs without weights go: see `TrainableNetwork.removingPrunedOutputs`.
internal struct RemoveOutputsStep: RecipeStep {
    static let name = "removePrunedOutputs"

    init() {}
    init(from decoder: any Decoder) throws { _ = try StrictFields(decoder, of: Self.name, names: []) }
    func encode(to encoder: any Encoder) throws { _ = encoder.container(keyedBy: StrictFields.Key.self) }

    func check(_ plan: inout RecipePlan) { plan.lastPruning = nil }
    func make(_ run: CompressionRun, index: Int) throws { run.network = try run.network.removingPrunedOutputs() }
    func remakeStructure(_ run: CompressionRun) throws { try make(run, index: 0) }
}

/// See `TrainableNetwork.foldingBatchNormalization`.
internal struct FoldStep: RecipeStep {
    static let name = "foldBatchNormalization"

    init() {}
    init(from decoder: any Decoder) throws { _ = try StrictFields(decoder, of: Self.name, names: []) }
    func encode(to encoder: any Encoder) throws { _ = encoder.container(keyedBy: StrictFields.Key.self) }

    func check(_ plan: inout RecipePlan) {}
    func make(_ run: CompressionRun, index: Int) throws { run.network = try run.network.foldingBatchNormalization() }
    func remakeStructure(_ run: CompressionRun) throws { try make(run, index: 0) }
}
