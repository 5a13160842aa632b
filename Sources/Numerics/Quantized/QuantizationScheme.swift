/// How the weights of a linear layer become integers, and how its activations do: W4A8 with groups of 32, and so on.
///
/// Weights W[N, K] are symmetric (zero point 0): W[n, k] ≈ scale[n] · multiplier[n, k / group] · code[n, k], with codes of 8 bits
/// (−127…127), 4 bits (−8…7), 2 bits (−2…1; ternary −1…1) or 1 bit (−1 and 1).
/// Groups share the float scale of their output and have an int8 multiplier each, the two-level scale of Q4_K in llama.cpp, so that
/// sums stay integers to the end. Activations are uint8 with a scale and a zero point per row, computed from the row unless the layer is
/// given static ones; with 1-bit weights they may be signs instead.
///
/// Ternary and binary weights take the scale with the least squared error: for signs the mean magnitude (XNOR-Net, Rastegari 2016), for
/// −1, 0, 1 the mean of the largest t magnitudes, with the best t of all. They are meant for networks trained with them.
public struct QuantizationScheme: Sendable, Hashable {
    /// Which weights share a scale.
    public enum Granularity: Sendable, Hashable {
        /// All weights of the matrix.
        case tensor
        /// The weights of one output.
        case channel
        /// Each `size` consecutive weights of one output, a multiple of 32; where it does not divide K the last group is shorter.
        case group(Int)
    }

    /// The codes that activations may take.
    public enum Activations: Sendable, Hashable {
        /// 0…255.
        case uint8
        /// 0…127, "A7": half the resolution, and products of 8-bit weights that never saturate int16, which is faster on CPUs
        /// without VNNI.
        case uint7
        /// Signs, "A1": x ≈ scale · (x ≥ 0 ? 1 : −1), scale the mean magnitude of the row. For 1-bit weights; products are
        /// exclusive ors and population counts.
        case sign

        /// The highest code; signs have no zero point other than 0.
        package var highest: Int32 {
            switch self {
            case .uint8: 255
            case .uint7: 127
            case .sign: 0
            }
        }
    }

    /// Bits of a stored weight: 8, 4, 2 or 1.
    public let bits: Int
    /// Whether codes of 2 bits take only the values −1, 0 and 1. They are stored as other codes of 2 bits.
    public let isTernary: Bool
    public let granularity: Granularity
    public let activations: Activations

    /// A scheme of the given widths.
    ///
    /// - Throws: `NumericsError.outOfRange` for other bits than 8, 4, 2, 1, for A7 with fewer than 8 bits (where it gains nothing), for
    ///   signs with more than one bit or with groups, for ternary weights with other than 2 bits;
    ///   `NumericsError.notDivisible` or `.outOfRange` for a group that is not a positive multiple of 32.
    public init(
        bits: Int, granularity: Granularity, activations: Activations = .uint8, isTernary: Bool = false
    ) throws(NumericsError) {
        guard [8, 4, 2, 1].contains(bits) else { throw .outOfRange(what: "bits of a weight", allowed: "8, 4, 2 or 1", found: "\(bits)") }
        guard !isTernary || bits == 2 else { throw .outOfRange(what: "ternary weights", allowed: "2 bits", found: "\(bits) bits") }
        guard activations != .sign || bits == 1 else {
            throw .outOfRange(what: "signs of activations", allowed: "1-bit weights", found: "\(bits)-bit weights")
        }
        guard activations != .uint7 || bits == 8 else {
            throw .outOfRange(what: "activation codes 0…127", allowed: "8-bit weights", found: "\(bits)-bit weights")
        }
        if case .group(let size) = granularity {
            guard size > 0 else { throw .outOfRange(what: "group size", allowed: "at least 32", found: "\(size)") }
            guard size % 32 == 0 else { throw .notDivisible(what: "group size", value: size, by: 32) }
            guard activations != .sign else {
                throw .outOfRange(what: "signs of activations", allowed: "a scale per output or tensor", found: "groups of \(size)")
            }
        }
        self.init(valid: bits, granularity, activations, isTernary)
    }

    private init(valid bits: Int, _ granularity: Granularity, _ activations: Activations = .uint8, _ isTernary: Bool = false) {
        self.bits = bits
        self.isTernary = isTernary
        self.granularity = granularity
        self.activations = activations
    }

    /// 8-bit weights with a scale per output, activations 0…255.
    public static let w8a8 = QuantizationScheme(valid: 8, .channel)
    /// 8-bit weights with a scale per output, activations 0…127.
    public static let w8a7 = QuantizationScheme(valid: 8, .channel, .uint7)
    /// 4-bit weights with a scale per output.
    public static let w4a8 = QuantizationScheme(valid: 4, .channel)
    /// 2-bit weights with a scale per output.
    public static let w2a8 = QuantizationScheme(valid: 2, .channel)
    /// Weights −1, 0 and 1 with a scale per output.
    public static let ternary = QuantizationScheme(valid: 2, .channel, .uint8, true)
    /// Weights −1 and 1 with a scale per output.
    public static let w1a8 = QuantizationScheme(valid: 1, .channel)
    /// Weights −1 and 1 with a scale per output, signs of activations with a scale per row.
    public static let w1a1 = QuantizationScheme(valid: 1, .channel, .sign)

    /// 4-bit weights with a scale per `groupSize` weights, a multiple of 32.
    public static func w4a8(groupSize: Int) throws(NumericsError) -> QuantizationScheme {
        try QuantizationScheme(bits: 4, granularity: .group(groupSize))
    }

    /// 2-bit weights with a scale per `groupSize` weights, a multiple of 32.
    public static func w2a8(groupSize: Int) throws(NumericsError) -> QuantizationScheme {
        try QuantizationScheme(bits: 2, granularity: .group(groupSize))
    }

    /// The least and the highest code. Codes of 1 bit are these two, without the 0 between.
    package var codeRange: ClosedRange<Int8> {
        switch bits {
        case 8: -127...127
        case 4: -8...7
        case 2: isTernary ? -1...1 : -2...1
        default: -1...1
        }
    }

    /// Weights that share a multiplier; 0 where there are none.
    package var group: Int {
        if case .group(let size) = granularity { size } else { 0 }
    }

    /// Groups of an output of `columns` weights: K / group, rounded up; 0 where there are no multipliers.
    package func groups(columns: Int) -> Int { group == 0 ? 0 : (columns - 1) / group + 1 }
}

// MARK: - Names

extension QuantizationScheme: CustomStringConvertible {
    /// The name: w8a8, w8a7 (a scale per output), w4a8-g32, w4a8-channel, w2a8-tensor, ternary-channel, w1a8-channel, w1a1-channel, …
    public var description: String {
        let width = isTernary ? "ternary" : "w\(bits)a\(activations == .uint8 ? 8 : activations == .uint7 ? 7 : 1)"
        return switch granularity {
        case .tensor: width + "-tensor"
        case .channel: bits == 8 ? width : width + "-channel"
        case .group(let size): width + "-g\(size)"
        }
    }

    private static let widths: [String: (Int, Activations, Bool)] = [
        "w8a8": (8, .uint8, false), "w8a7": (8, .uint7, false), "w4a8": (4, .uint8, false), "w2a8": (2, .uint8, false),
        "ternary": (2, .uint8, true), "w1a8": (1, .uint8, false), "w1a1": (1, .sign, false),
    ]

    /// Whether names of schemes begin like this: w8a8, ternary, …
    internal static func isWidth(_ text: some StringProtocol) -> Bool { widths[String(text)] != nil }

    /// The scheme with the given name (see `description`).
    ///
    /// - Throws: `NumericsError.unknown` for a name that is none, and the errors of `init(bits:granularity:activations:)`.
    public init(named name: String) throws(NumericsError) {
        let parts = name.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let unknown = NumericsError.unknown(
            what: "quantization scheme",
            allowed: ["w8a8", "w8a7", "w4a8", "w2a8", "ternary", "w1a8", "w1a1", "each with -tensor, -channel or (not w1a1) -g32, -g64, -g128, …"],
            found: name)
        guard let (bits, activations, isTernary) = Self.widths[parts[0]] else { throw unknown }
        switch parts.count == 1 ? "channel" : parts[1] {
        case "channel": self.init(valid: bits, .channel, activations, isTernary)
        case "tensor": self.init(valid: bits, .tensor, activations, isTernary)
        case let group where group.first == "g":
            guard let size = Int(group.dropFirst()) else { throw unknown }
            try self.init(bits: bits, granularity: .group(size), activations: activations, isTernary: isTernary)
        default: throw unknown
        }
    }
}

extension QuantizationScheme: Codable {
    /// A scheme by its name, a string.
    public init(from decoder: any Decoder) throws {
        try self.init(named: decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
