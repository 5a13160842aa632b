/// A floating-point number with fewer bits than float32, of which it is a subset: widening is exact, and comparison,
/// hashing and text are those of the widened number. So NaN equals nothing, itself included, and +0 equals −0.
public protocol ReducedFloat: BitwiseCopyable, Sendable, Comparable, Hashable, CustomStringConvertible, ExpressibleByFloatLiteral {
    associatedtype BitPattern: FixedWidthInteger & UnsignedInteger

    /// Sign, exponent and significand, from the most significant bit down.
    var bitPattern: BitPattern { get }

    /// The number with the given bits.
    init(bitPattern: BitPattern)

    /// The nearest number of this format; of two equally near ones, the one with an even significand. Subnormals are kept,
    /// overflow is judged after rounding and gives infinity, a NaN becomes quiet and keeps its sign and top payload bits.
    init(_ value: Float)

    /// The same number as float32, exactly; a signalling NaN becomes quiet.
    var floatValue: Float { get }
}

extension ReducedFloat {
    /// A literal is rounded to float32 first, then to this format.
    public init(floatLiteral value: Float) {
        self.init(value)
    }

    public var isNaN: Bool { floatValue.isNaN }
    public var isInfinite: Bool { floatValue.isInfinite }
    public var isFinite: Bool { floatValue.isFinite }

    public static func == (left: Self, right: Self) -> Bool { left.floatValue == right.floatValue }
    public static func < (left: Self, right: Self) -> Bool { left.floatValue < right.floatValue }
    // Comparable would derive these three by negating `<`, which is wrong for NaN.
    public static func <= (left: Self, right: Self) -> Bool { left.floatValue <= right.floatValue }
    public static func > (left: Self, right: Self) -> Bool { left.floatValue > right.floatValue }
    public static func >= (left: Self, right: Self) -> Bool { left.floatValue >= right.floatValue }

    public func hash(into hasher: inout Hasher) { hasher.combine(floatValue) }

    /// The shortest decimal text that gives the same float32.
    public var description: String { floatValue.description }
}

extension Float {
    /// The same number, exactly; a signalling NaN becomes quiet.
    public init(_ value: some ReducedFloat) {
        self = value.floatValue
    }
}

/// The precondition of every bulk conversion.
internal func requireEqualCounts(_ source: Int, _ destination: Int) {
    trapUnless(source == destination, "conversion: expected a destination of \(source) elements, found \(destination)")
}
