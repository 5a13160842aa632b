import CompactNumerics

/// A way to store the weights of a linear layer, under the name that reports use.
enum WeightFormat: Hashable {
    case float32
    case half(HalfMatrix.Format)
    case quantized(QuantizationScheme)

    static let defaults = [
        "f16", "bf16", "w8a8", "w8a7", "w4a8-g32", "w4a8-g128", "w4a8-channel", "w2a8-g128", "w2a8-channel",
        "ternary-channel", "w1a8-channel", "w1a1-channel",
    ]

    init(named name: String) throws {
        if name == "float32" {
            self = .float32
        } else if let format = HalfMatrix.Format(rawValue: name) {
            self = .half(format)
        } else {
            do {
                self = .quantized(try QuantizationScheme(named: name))
            } catch NumericsError.unknown {
                throw NumericsError.unknown(what: "--formats", allowed: ["float32"] + Self.defaults, found: name)
            }
        }
    }

    var name: String {
        switch self {
        case .float32: "float32"
        case .half(let format): format.rawValue
        case .quantized(let scheme): scheme.description
        }
    }

    /// Whether weights with K columns can have this format: groups must divide K.
    func fits(columns: Int) -> Bool {
        guard case .quantized(let scheme) = self, case .group(let size) = scheme.granularity else { return true }
        return columns % size == 0
    }

    /// Throws where weights with K columns cannot have this format.
    func check(columns: Int) throws(NumericsError) {
        if case .quantized(let scheme) = self, case .group(let size) = scheme.granularity, columns % size != 0 {
            throw .notDivisible(what: "K of \(name) weights", value: columns, by: size)
        }
    }

    func layer(_ linear: Linear) throws -> any LinearLayer {
        switch self {
        case .float32: linear
        case .half(let format): HalfLinear(linear, format: format)
        case .quantized(let scheme): try QuantizedLinear(linear, scheme: scheme)
        }
    }

    /// The least seconds that `shape` can take on a machine with these peaks: operations over the peak of the instructions that the
    /// format needs, or bytes of weights over bandwidth, whichever is longer.
    func limitSeconds(_ shape: Shape, weightBytes: Int, peaks: Peaks) -> Double {
        let operationsPerSecond =
            switch self {
            case .float32, .half: peaks.float32
            case .quantized(let scheme):
                switch (scheme.bits, scheme.activations) {
                case (8, _): peaks.int8
                case (1, .sign): peaks.lookup
                case (1, _): peaks.lookup / 2  // one table of the low, one of the high four bits of the activations
                default: peaks.int8Folded
                }
            }
        return max(shape.operations / operationsPerSecond, Double(weightBytes) / peaks.readBandwidth(bytes: weightBytes))
    }
}
