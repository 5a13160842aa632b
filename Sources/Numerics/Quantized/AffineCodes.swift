internal import CKernels

/// Integer codes of a matrix [rows, columns] with scales and zero points: x ≈ scale · (code − zero point).
///
/// The plain form of quantization, for storing, exchanging or studying: codes are one byte each. `QuantizedMatrix` is the packed form
/// that products run on; it is symmetric.
public struct AffineCodes: Sendable {
    /// Where the zero of the real numbers lies.
    public enum Symmetry: Sendable, Hashable {
        /// Zero points are 0; the largest magnitude maps to the highest code.
        case symmetric
        /// [min(x, 0), max(x, 0)] maps onto all codes, so that 0 has a code of its own.
        case asymmetric
    }

    public let rows: Int
    public let columns: Int
    /// Bits of a code: 8 (−127…127), 4 (−8…7) or 2 (−2…1).
    public let bits: Int
    /// Which elements share a scale: all, those of a row, or each `size` consecutive ones of a row.
    public let granularity: QuantizationScheme.Granularity
    public let symmetry: Symmetry
    /// Codes, row after row.
    public let codes: [Int8]
    /// One for the matrix, for each row, or for each group of each row.
    public let scales: [Float]
    /// As many as scales.
    public let zeroPoints: [Int32]

    /// Neighbouring elements that share a scale, one range for each scale; the last group of a row may be shorter than the others.
    private static func parts(_ matrix: (rows: Int, columns: Int), _ granularity: QuantizationScheme.Granularity) -> [Range<Int>] {
        let (rows, columns) = matrix, count = rows * columns
        switch granularity {
        case .tensor: return count == 0 ? [] : [0..<count]
        case .channel: return columns == 0 ? [] : (0..<rows).map { $0 * columns..<($0 + 1) * columns }
        case .group(let size):
            return (0..<rows).flatMap { row in
                stride(from: 0, to: columns, by: size).map { row * columns + $0..<row * columns + min($0 + size, columns) }
            }
        }
    }

    /// Quantizes `matrix`: code = clamp(rint(x · (1 / scale)) + zero point).
    ///
    /// Groups are counted from the start of a row; where their size does not divide the columns, the last one is shorter. A matrix times 2ᵏ has
    /// scales times 2ᵏ and the same codes, as long as the scales are normal numbers.
    ///
    /// - Throws: `NumericsError.outOfRange` for other bits than 8, 4, 2 or a group below 1, `.notFinite` for elements that are no numbers.
    public init(
        _ matrix: Matrix, bits: Int, granularity: QuantizationScheme.Granularity = .channel, symmetry: Symmetry = .symmetric
    ) throws(NumericsError) {
        guard [8, 4, 2].contains(bits) else { throw .outOfRange(what: "bits of a code", allowed: "8, 4 or 2", found: "\(bits)") }
        if let at = matrix.firstNonFinite { throw .notFinite(what: "matrix", row: at.row, column: at.column) }
        if case .group(let size) = granularity, size < 1 {
            throw .outOfRange(what: "group size", allowed: "at least 1", found: "\(size)")
        }
        (rows, columns, self.bits, self.granularity, self.symmetry) = (matrix.rows, matrix.columns, bits, granularity, symmetry)
        let range = Self.range(bits: bits)
        let kernels = ck_active_kernels().pointee
        var scales = [Float](), zeroPoints = [Int32]()
        codes = [Int8](unsafeUninitializedCapacity: matrix.count) { codes, count in
            count = matrix.count
            matrix.withUnsafeBufferPointer { elements in
                for part in Self.parts((matrix.rows, matrix.columns), granularity) {
                    let x = elements.baseAddress! + part.lowerBound, length = part.count
                    var low: Float = 0, high: Float = 0
                    kernels.row_range_f32(x, 1, length, length, &low, &high)
                    let (scale, zero) = Self.map(low: min(low, 0), high: max(high, 0), onto: range, symmetry)
                    kernels.quantize_s8_f32(x, length, 1 / scale, zero, range.lowest, range.highest, codes.baseAddress! + part.lowerBound)
                    scales.append(scale)
                    zeroPoints.append(zero)
                }
            }
        }
        self.scales = scales
        self.zeroPoints = zeroPoints
    }

    private static func range(bits: Int) -> (lowest: Int32, highest: Int32) {
        bits == 8 ? (-127, 127) : (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    }

    /// Scale and zero point; scale 1 where the range is zero, and the least scale that has an inverse where it is smaller than that.
    private static func map(
        low: Float, high: Float, onto range: (lowest: Int32, highest: Int32), _ symmetry: Symmetry
    ) -> (scale: Float, zero: Int32) {
        // Halves, so that the difference of two large numbers does not overflow.
        let width = symmetry == .symmetric ? max(high, -low) / Float(range.highest) : (high / 2 - low / 2) / Float(range.highest - range.lowest) * 2
        let scale = low == 0 && high == 0 ? 1 : max(width, .leastNormalMagnitude)
        if symmetry == .symmetric { return (scale, 0) }
        let zero = (Float(range.lowest) - low * (1 / scale)).rounded(.toNearestOrEven)
        return (scale, Int32(min(max(zero, Float(range.lowest)), Float(range.highest))))
    }

    /// scale · (code − zero point), [rows, columns].
    public func dequantized() -> Matrix {
        let kernels = ck_active_kernels().pointee
        return Matrix(rows: rows, columns: columns) { destination in
            codes.withUnsafeBufferPointer { codes in
                for (part, range) in Self.parts((rows, columns), granularity).enumerated() {
                    let start = range.lowerBound
                    kernels.dequantize_f32_s8(
                        codes.baseAddress! + start, range.count, scales[part], zeroPoints[part], destination.baseAddress! + start)
                }
            }
        }
    }
}
