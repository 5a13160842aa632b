public import CompactNumerics

/// How the weights of one layer are stored, by the name that reports and recipes use: float32, f16, bf16, a quantization scheme such as w8a8 or
/// w4a8-g32, or w3a8-channel and w3a8-tensor, whose codes −4…3 are stored as 4 bits.
public enum WeightFormat: Sendable, Hashable, CustomStringConvertible {
    case float32
    case half(HalfMatrix.Format)
    case integer(QuantizationScheme)
    /// 3 bits, in a scheme of 4.
    case threeBits(QuantizationScheme)

    /// The scheme that stores the weights; nil for floating-point formats.
    public var scheme: QuantizationScheme? {
        switch self {
        case .float32, .half: nil
        case .integer(let scheme), .threeBits(let scheme): scheme
        }
    }

    /// The least and the highest code that training and rounding use, in 1-bit formats −1 and 1.
    internal var codes: ClosedRange<Int32> {
        switch self {
        case .float32, .half: 0...0
        case .integer(let scheme): Int32(scheme.codeRange.lowerBound)...Int32(scheme.codeRange.upperBound)
        case .threeBits: -4...3
        }
    }

    internal var isBinary: Bool { scheme?.bits == 1 }

    /// The format with the given name.
    ///
    /// - Throws: `CompressionError.numerics` for a name that is none.
    public init(named name: String) throws(CompressionError) {
        switch name {
        case "float32": self = .float32
        case "f16": self = .half(.fp16)
        case "bf16": self = .half(.bf16)
        case "w3a8-channel", "w3a8": self = .threeBits(.w4a8)
        case "w3a8-tensor":
            self = .threeBits(try CompressionError.wrapping { try QuantizationScheme(bits: 4, granularity: .tensor) })
        default: self = .integer(try CompressionError.wrapping { try QuantizationScheme(named: name) })
        }
    }

    public var description: String {
        switch self {
        case .float32: "float32"
        case .half(let format): format.rawValue
        case .integer(let scheme): scheme.description
        case .threeBits(let scheme): scheme.granularity == .tensor ? "w3a8-tensor" : "w3a8-channel"
        }
    }
}

extension WeightFormat: Codable {
    public init(from decoder: any Decoder) throws {
        try self.init(named: decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
