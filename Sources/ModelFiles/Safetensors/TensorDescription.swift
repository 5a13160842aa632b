/// Element types of the safetensors format, by the names that its header uses.
public enum TensorType: String, Sendable, Hashable, CaseIterable {
    case bool = "BOOL"
    case f4 = "F4"
    case f6e2m3 = "F6_E2M3"
    case f6e3m2 = "F6_E3M2"
    case u8 = "U8"
    case i8 = "I8"
    case f8e5m2 = "F8_E5M2"
    case f8e4m3 = "F8_E4M3"
    case f8e8m0 = "F8_E8M0"
    case f8e4m3fnuz = "F8_E4M3FNUZ"
    case f8e5m2fnuz = "F8_E5M2FNUZ"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case c64 = "C64"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    /// Bits of one element. Elements of less than 8 bits are packed without gaps.
    public var bitWidth: Int {
        switch self {
        case .f4: 4
        case .f6e2m3, .f6e3m2: 6
        case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
        case .i16, .u16, .f16, .bf16: 16
        case .i32, .u32, .f32: 32
        case .c64, .f64, .i64, .u64: 64
        }
    }

    /// Whether `SafetensorsFile` converts elements of this type to numbers. The bytes of the others can be read: complex numbers, and elements
    /// of less than 8 bits, for whose order within a byte the format has no rule.
    public var isReadable: Bool {
        switch self {
        case .c64, .f4, .f6e2m3, .f6e3m2: false
        default: true
        }
    }

    /// Whether float32 holds every number of this type.
    internal var fitsFloat: Bool {
        switch self {
        case .f64, .i32, .u32, .i64, .u64: false
        default: true
        }
    }

    /// By the bytes of its name (see `UTF8Name`).
    internal init?(bytesOf name: String) {
        guard let type = Self.byName[UTF8Name(name)] else { return nil }
        self = type
    }

    private static let byName = Dictionary(uniqueKeysWithValues: allCases.map { (UTF8Name($0.rawValue), $0) })

    /// Bytes of a tensor of this type and shape, or nil if a size is negative, a product exceeds `Int.max` or the bits do
    /// not fill whole bytes. The shape [] is a scalar: one element.
    internal func byteCount(shape: [Int]) -> Int? {
        var bits = bitWidth
        for size in shape {
            guard size >= 0 else { return nil }
            let (product, overflow) = bits.multipliedReportingOverflow(by: size)
            if overflow { return nil }
            bits = product
        }
        return bits % 8 == 0 ? bits / 8 : nil
    }
}

/// What the header of a file says about one tensor. Names are equal if their UTF-8 is, as the format has it.
public struct TensorDescription: Sendable, Hashable {
    public let name: String
    public let type: TensorType
    /// Sizes from the slowest to the fastest dimension; [] is a scalar.
    public let shape: [Int]
    /// Bytes in the file.
    public let byteCount: Int
    /// Where its bytes begin within the data section.
    internal let offset: Int

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }

    public static func == (left: TensorDescription, right: TensorDescription) -> Bool {
        left.type == right.type && left.shape == right.shape && left.offset == right.offset && left.name.hasBytes(of: right.name)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(UTF8Name(name))
        hasher.combine(type)
        hasher.combine(shape)
        hasher.combine(offset)
    }
}
