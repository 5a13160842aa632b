/// A way to store the weights of a linear layer, by the name that reports, recipes, files and command lines use.
///
/// What a format is called, how its name is read and how a layer gets it stands in one row of `WeightFormat.families`.
public enum WeightFormat: Sendable, Hashable {
    case float32
    /// FP16 or BF16 weights, float32 sums; activations float32 or, in `bf16a16`, BF16.
    case half(HalfMatrix.Format)
    /// Integers of 8, 4, 2 or 1 bits, multiplied as such.
    case integer(QuantizationScheme)
    /// Codes −4…3, stored in a scheme of 4 bits.
    case threeBits(QuantizationScheme)
    /// Blocks with at least one weight that is not zero.
    case sparse(BlockShape, SparseValues = .float32)
    /// Of each group of inputs the same number of weights.
    case nOfM(NMSparsity, SparseValues = .float32)

    /// The scheme that stores the weights; nil for formats that are not dense integers.
    public var scheme: QuantizationScheme? {
        switch self {
        case .float32, .half, .sparse, .nOfM: nil
        case .integer(let scheme), .threeBits(let scheme): scheme
        }
    }

    /// The least and the highest code, of 1 bit −1 and 1; 0…0 for formats that are not dense integers.
    package var codes: ClosedRange<Int32> {
        switch self {
        case .float32, .half, .sparse, .nOfM: 0...0
        case .integer(let scheme): Int32(scheme.codeRange.lowerBound)...Int32(scheme.codeRange.upperBound)
        case .threeBits: -4...3
        }
    }

    /// Whether codes are −1 and 1 alone, so that no weight can be 0.
    package var isBinary: Bool { scheme?.bits == 1 }

    /// Whether activations become integers too.
    package var roundsActivations: Bool {
        switch self {
        case .float32, .half, .sparse(_, .float32), .nOfM(_, .float32): false
        case .integer, .threeBits, .sparse(_, .int8), .nOfM(_, .int8): true
        }
    }

    /// Whether only some of the weights are stored.
    package var isSparse: Bool {
        switch self {
        case .sparse, .nOfM: true
        case .float32, .half, .integer, .threeBits: false
        }
    }
}

extension WeightFormat: CustomStringConvertible {
    /// The name: float32, f16, bf16, bf16a16, w8a8, w4a8-g32, w3a8-channel, csr, 4x1, csr-w8a8, 2:4, 2:4-w8a8, …
    public var description: String {
        switch self {
        case .float32: "float32"
        case .half(let format): format.rawValue
        case .integer(let scheme): scheme.description
        case .threeBits(let scheme): scheme.granularity == .tensor ? "w3a8-tensor" : "w3a8-channel"
        case .sparse(let shape, let values): (shape == .single ? "csr" : shape.description) + values.suffix
        case .nOfM(let sparsity, let values): sparsity.description + values.suffix
        }
    }

    /// The format with the given name.
    ///
    /// - Throws: `NumericsError.unknown` for a name that is none, and the errors of `QuantizationScheme.init(named:)`.
    public init(named name: String) throws(NumericsError) {
        for family in Self.families {
            if let format = try family.parse(name) {
                self = format
                return
            }
        }
        throw .unknown(what: "format of weights", allowed: Self.families.flatMap(\.examples), found: name)
    }

    /// A float32 layer in this format. Nothing is pruned: sparse formats store the weights that are not zero.
    ///
    /// - Parameter rows: the rows of activations, M, that it will usually have.
    /// - Throws: the errors of the layer's initializer; `NumericsError.invalidStructure` for an N:M format of weights that have more in a group.
    public func layer(_ linear: Linear, rows: Int = 64) throws(NumericsError) -> any LinearLayer {
        for family in Self.families {
            if let layer = try family.layer(self, linear, rows) { return layer }
        }
        trap("layer of format \(self): expected a family of formats that makes it, found none")
    }
}

extension WeightFormat: Codable {
    /// A format by its name, a string.
    public init(from decoder: any Decoder) throws {
        try self.init(named: decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension SparseValues {
    /// What a format of such values adds to its name.
    fileprivate var suffix: String { self == .int8 ? "-w8a8" : "" }
}
