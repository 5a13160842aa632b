import CompactNumerics

extension WeightFormat {
    /// What `gemm` measures unless told otherwise.
    static let denseDefaults = [
        "f16", "bf16", "w8a8", "w8a7", "w4a8-g32", "w4a8-g128", "w4a8-channel", "w2a8-g128", "w2a8-channel",
        "ternary-channel", "w1a8-channel", "w1a1-channel",
    ]

    /// A dense format for `--formats`.
    init(denseNamed name: String) throws(NumericsError) {
        let unknown = NumericsError.unknown(what: "--formats", allowed: ["float32"] + Self.denseDefaults, found: name)
        do {
            try self.init(named: name)
        } catch .unknown {
            throw unknown
        }
        if isSparse { throw unknown }
    }

    /// The least seconds that `shape` can take on a machine with these peaks: operations over the peak of the instructions that the
    /// dense format needs, or bytes of weights over bandwidth, whichever is longer.
    func limitSeconds(_ shape: Shape, weightBytes: Int, peaks: Peaks) -> Double {
        let operationsPerSecond =
            switch (scheme?.bits, scheme?.activations) {
            case (nil, _): peaks.float32
            case (8, _): peaks.int8
            case (1, .sign): peaks.lookup
            case (1, _): peaks.lookup / 2  // one table of the low, one of the high four bits of the activations
            default: peaks.int8Folded
            }
        return max(shape.operations / operationsPerSecond, Double(weightBytes) / peaks.readBandwidth(bytes: weightBytes))
    }
}
