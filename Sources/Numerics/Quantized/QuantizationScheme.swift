/// How the weights of a linear layer become integers, and how its activations do: W4A8 with groups of 32, and so on.
///
/// Weights W[N, K] are symmetric (zero point 0): W[n, k] ≈ scale[n] · multiplier[n, k / group] · code[n, k], with codes of 8 bits
/// (−127…127), 4 bits (−8…7) or 2 bits (−2…1). Groups share the float scale of their output and have an int8 multiplier each, the
/// two-level scale of Q4_K in llama.cpp, so that sums stay integers to the end. Activations are uint8 with a scale and a zero
/// point per row, computed from the row unless the layer is given static ones.
public struct QuantizationScheme: Sendable, Hashable {
    /// Which weights share a scale.
    public enum Granularity: Sendable, Hashable {
        /// All weights of the matrix.
        case tensor
        /// The weights of one output.
        case channel
        /// Each `size` consecutive weights of one output; a multiple of 32 that divides K.
        case group(Int)
    }

    /// The codes that activations may take.
    public enum Activations: Sendable, Hashable {
        /// 0…255.
        case uint8
        /// 0…127, "A7": half the resolution, and products of 8-bit weights that never saturate int16, which is faster on CPUs
        /// without VNNI.
        case uint7

        package var highest: Int32 { self == .uint8 ? 255 : 127 }
    }

    /// Bits of a weight: 8, 4 or 2.
    public let bits: Int
    public let granularity: Granularity
    public let activations: Activations

    /// A scheme of the given widths.
    ///
    /// - Throws: `NumericsError.outOfRange` for other bits than 8, 4, 2, or A7 with fewer than 8 bits (where it gains nothing);
    ///   `NumericsError.notDivisible` or `.outOfRange` for a group that is not a positive multiple of 32.
    public init(bits: Int, granularity: Granularity, activations: Activations = .uint8) throws(NumericsError) {
        guard [8, 4, 2].contains(bits) else { throw .outOfRange(what: "bits of a weight", allowed: "8, 4 or 2", found: "\(bits)") }
        guard activations == .uint8 || bits == 8 else {
            throw .outOfRange(what: "activation codes 0…127", allowed: "8-bit weights", found: "\(bits)-bit weights")
        }
        if case .group(let size) = granularity {
            guard size > 0 else { throw .outOfRange(what: "group size", allowed: "at least 32", found: "\(size)") }
            guard size % 32 == 0 else { throw .notDivisible(what: "group size", value: size, by: 32) }
        }
        self.init(valid: bits, granularity, activations)
    }

    private init(valid bits: Int, _ granularity: Granularity, _ activations: Activations = .uint8) {
        self.bits = bits
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

    /// 4-bit weights with a scale per `groupSize` weights, a multiple of 32.
    public static func w4a8(groupSize: Int) throws(NumericsError) -> QuantizationScheme {
        try QuantizationScheme(bits: 4, granularity: .group(groupSize))
    }

    /// 2-bit weights with a scale per `groupSize` weights, a multiple of 32.
    public static func w2a8(groupSize: Int) throws(NumericsError) -> QuantizationScheme {
        try QuantizationScheme(bits: 2, granularity: .group(groupSize))
    }

    /// Weights that share a multiplier; 0 where there are none.
    package var group: Int {
        if case .group(let size) = granularity { size } else { 0 }
    }
}

// MARK: - Names

extension QuantizationScheme: CustomStringConvertible {
    /// The name: w8a8, w8a7 (a scale per output), w4a8-g32, w4a8-channel, w2a8-tensor, …
    public var description: String {
        let width = "w\(bits)a\(activations == .uint8 ? 8 : 7)"
        return switch granularity {
        case .tensor: width + "-tensor"
        case .channel: bits == 8 ? width : width + "-channel"
        case .group(let size): width + "-g\(size)"
        }
    }

    /// The scheme with the given name (see `description`).
    ///
    /// - Throws: `NumericsError.unknown` for a name that is none, and the errors of `init(bits:granularity:activations:)`.
    public init(named name: String) throws(NumericsError) {
        let parts = name.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let widths: [String: (Int, Activations)] = ["w8a8": (8, .uint8), "w8a7": (8, .uint7), "w4a8": (4, .uint8), "w2a8": (2, .uint8)]
        let unknown = NumericsError.unknown(
            what: "quantization scheme", allowed: ["w8a8", "w8a7", "w4a8", "w2a8", "each with -tensor, -channel or -g32, -g64, -g128, …"],
            found: name)
        guard let (bits, activations) = widths[parts[0]] else { throw unknown }
        switch parts.count == 1 ? "channel" : parts[1] {
        case "channel": self.init(valid: bits, .channel, activations)
        case "tensor": self.init(valid: bits, .tensor, activations)
        case let group where group.first == "g":
            guard let size = Int(group.dropFirst()) else { throw unknown }
            try self.init(bits: bits, granularity: .group(size), activations: activations)
        default: throw unknown
        }
    }
}
