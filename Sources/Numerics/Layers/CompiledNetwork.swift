/// A network whose float32 layers were each given the format that runs fastest on this machine, by measurement.
public struct CompiledNetwork<Original: Network & Layer>: Layer {
    /// The network with its layers in their formats.
    public let network: Original
    /// What was chosen for each float32 layer of the original, in order.
    public let choices: [LayerChoice]
    /// Median seconds of the whole network on the sample.
    public let seconds: Double
    /// Median seconds of the original network.
    public let float32Seconds: Double
    /// Relative RMS error of the outputs of the whole network against those of the original.
    public let relativeError: Double

    public var inputCount: Int? { network.inputCount }
    public func outputCount(inputs: Int) -> Int { network.outputCount(inputs: inputs) }
    public var byteCount: Int { network.byteCount }
    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        network.apply(input, into: &output, workspace: &workspace, parallelism: parallelism)
    }
}

extension CompiledNetwork: CustomStringConvertible {
    /// A line for each choice, and one for each layer that stays in float32, which says why.
    public var description: String {
        let reasons = choices.compactMap { choice in choice.reasonForFloat32.map { "layer \(choice.layer) stays in float32: \($0)" } }
        return (choices.map(\.description) + reasons).joined(separator: "\n")
    }
}

extension Network where Self: Layer {
    /// The network with each `Linear` in the fastest of several formats, measured on this machine with the activations that
    /// `sample` makes. float32 is always measured too, by the system's BLAS for as many rows, and kept where no candidate is faster; if the network as a
    /// whole turns out no faster than in float32, all of it is kept. The result's description says where and why. Other layers stay what they are. Nothing is pruned: sparse candidates store
    /// the weights that are not zero. A layer whose weights have the zeros of 2:4 or 4:8 is tried in these too, in their int8 form where a candidate
    /// has integer activations.
    ///
    /// Each layer is timed on its own, with row-major activations; of a convolution the product of its windows, except where a float32 one is
    /// computed without windows, which stays. Consecutive sparse layers then run as they are or faster.
    ///
    /// - Parameters:
    ///   - sample: inputs [M, `inputCount`] such as the network will get, M rows at a time.
    ///   - candidates: formats to try for every layer. One that a layer cannot have is passed over and reported.
    ///   - maximumError: the largest relative RMS error of a layer's outputs that a candidate may have. One whose error is not finite
    ///     is never chosen.
    ///   - seconds: the time to spend on measuring; short ones are exceeded where three runs of each candidate take longer.
    /// - Throws: `NumericsError.outOfRange` for an empty list of candidates, a sample without rows, an error bound below 0 or a time
    ///   that is not positive; `.shapeMismatch` for a sample with other columns; `.notFinite` for numbers of the sample, weights or
    ///   outputs that are NaN or infinite; `.invalidStructure` for a layer that the sample does not reach.
    public func compiled(
        for sample: Matrix, candidates: [WeightFormat], maximumError: Double = .infinity, seconds: Double = 1,
        parallelism: Parallelism = .serial
    ) throws(NumericsError) -> CompiledNetwork<Self> {
        try compiled(
            for: sample, candidatesOfLayers: Array(repeating: candidates, count: float32Layers.count), maximumError: maximumError, seconds: seconds,
            parallelism: parallelism)
    }

    /// The same with a list of candidates for each float32 layer of `linearLayers`, in order.
    ///
    /// - Throws: also `NumericsError.shapeMismatch` unless there are as many lists as float32 layers.
    public func compiled(
        for sample: Matrix, candidatesOfLayers candidates: [[WeightFormat]], maximumError: Double = .infinity, seconds: Double = 1,
        parallelism: Parallelism = .serial
    ) throws(NumericsError) -> CompiledNetwork<Self> {
        try compiled(
            for: sample, candidatesOfLayers: candidates, maximumError: maximumError, seconds: seconds, parallelism: parallelism,
            timer: MonotonicTimer())
    }

    package func compiled(
        for sample: Matrix, candidatesOfLayers candidates: [[WeightFormat]], maximumError: Double, seconds: Double, parallelism: Parallelism,
        timer: some RunTimer
    ) throws(NumericsError) -> CompiledNetwork<Self> {
        try check(sample, candidates, maximumError: maximumError, seconds: seconds)
        var compiler = NetworkCompiler(
            maximumError: maximumError, seconds: seconds / Double(candidates.count + 1), parallelism: parallelism, timer: timer)
        return try compiler.compile(self, sample, candidates)
    }

    /// Layers whose format is chosen.
    internal var float32Layers: [NamedLinearLayer] {
        linearLayers.filter { named in
            guard let linear = named.layer as? Linear else { return false }
            return named.windows.map { !Convolution.isComputedDirectly(linear, $0) } ?? true
        }
    }

    private func check(_ sample: Matrix, _ candidates: [[WeightFormat]], maximumError: Double, seconds: Double) throws(NumericsError) {
        let count = float32Layers.count
        guard candidates.count == count else {
            throw .shapeMismatch(what: "lists of candidates", expected: "\(count), one for each float32 layer", found: "\(candidates.count)")
        }
        if let layer = candidates.firstIndex(where: \.isEmpty) {
            throw .outOfRange(what: "candidates of float32 layer \(layer)", allowed: "at least one format", found: "none")
        }
        guard sample.rows >= 1 else { throw .outOfRange(what: "rows of the sample", allowed: "at least 1", found: "0") }
        if let inputCount, sample.columns != inputCount {
            throw .shapeMismatch(
                what: "sample", expected: "\(sample.rows)×\(inputCount)", found: "\(sample.rows)×\(sample.columns)")
        }
        if let at = sample.firstNonFinite { throw .notFinite(what: "sample", row: at.row, column: at.column) }
        guard maximumError >= 0 else { throw .outOfRange(what: "maximum error", allowed: "at least 0", found: "\(maximumError)") }
        guard seconds > 0, seconds.isFinite else {
            throw .outOfRange(what: "seconds of measuring", allowed: "a positive number", found: "\(seconds)")
        }
    }
}
