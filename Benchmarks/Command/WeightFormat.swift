import CompactNumerics

extension WeightFormat {
    /// What `gemm` measures unless told otherwise.
    static let denseDefaults = [
        "f16", "bf16", "bf16a16", "w8a8", "w8a7", "w4a8-g32", "w4a8-g128", "w4a8-channel", "w2a8-g128", "w2a8-channel",
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

    /// What `shape` needs at least: operations of the instructions that the dense format needs, and its weights read once.
    func demands(_ shape: Shape, weightBytes: Int, _ peaks: Peaks) -> [Demand] {
        let count = shape.operations, set = self == .float32 ? peaks.blas : peaks.kernels
        func limit(_ quantity: PeakQuantity) -> Limit { .operations(quantity, set) }
        let arithmetic =
            switch (scheme?.bits, scheme?.activations) {
            // Products of rounded activations; their float32 sums may be those of widened numbers.
            case (nil, _) where description == "bf16a16": Demand((limit(.bf16), count), (limit(.float32), count))
            case (nil, _): Demand((limit(.float32), count))
            case (8, _): Demand((limit(.int8), count))
            case (1, .sign): Demand((limit(.lookup), count), (limit(.count), count))
            // One table of the low, one of the high four bits of the activations.
            case (1, _): Demand((limit(.lookup), 2 * count), (limit(.int8), count), (limit(.int8Folded), count))
            default: Demand((limit(.int8), count), (limit(.int8Folded), count))
            }
        return [arithmetic, .reading(weightBytes, set)]
    }
}
