internal import CKernels

/// Weights W[N, K] of 8, 4, 2 or 1 bits, packed once into the layout that the kernels read. The packed form is the only copy.
///
/// A value: copies share the immutable packed memory.
public struct QuantizedMatrix: Sendable {
    /// Outputs, N.
    public let rows: Int
    /// Inputs, K.
    public let columns: Int
    public let scheme: QuantizationScheme
    internal let packed: PackedWeights

    /// The most inputs a matrix may have: 255 · 127 · 65,536 < 2³¹ keeps every sum within int32.
    public static let maximumColumns = ck_gemm_max_inputs

    /// Quantizes `weight` [N, K]: code = clamp(rint(w / (scale · multiplier))). The largest magnitude that shares a scale maps to
    /// the end of the code range; with 2 bits the positive scale with the least squared error of 32 is taken. Ternary weights take the
    /// scale of least squared error, those of 1 bit the mean magnitude and code = w ≥ 0 ? 1 : −1. Weights times 2ᵏ have the same codes.
    ///
    /// - Throws: `NumericsError.notFinite`, `.outOfRange` for an empty matrix or more than `maximumColumns` columns.
    public init(_ weight: Matrix, scheme: QuantizationScheme) throws(NumericsError) {
        try Self.check(rows: weight.rows, columns: weight.columns, scheme: scheme)
        let config = Self.config(scheme)
        let quantizer = try PanelQuantizer(weight, scheme: scheme, panelRows: config.pointee.n_step)
        (rows, columns, self.scheme) = (weight.rows, weight.columns, scheme)
        packed = try PackedWeights(config, inputs: weight.columns, outputs: weight.rows, group: scheme.group) { rows, scales throws(NumericsError) in
            try quantizer.quantize(rows: rows, scales: scales!)
        }
    }

    /// Packs codes[N, K], multipliers[N, K / group rounded up] (empty without groups) and scales[N] that come from elsewhere.
    ///
    /// - Throws: `NumericsError.shapeMismatch` for wrong counts, `.outOfRange` for a code outside the range of the scheme or
    ///   a multiplier of −128, `.notFinite` for a scale, and the errors of `init(_:scheme:)`.
    public init(
        rows: Int, columns: Int, scheme: QuantizationScheme, codes: [Int8], multipliers: [Int8] = [], scales: [Float]
    ) throws(NumericsError) {
        try Self.check(rows: rows, columns: columns, scheme: scheme)
        let groups = scheme.groups(columns: columns), count = try checkedProduct(rows, columns, what: "quantized weights")
        for (what, expected, found) in [
            ("codes", count, codes.count), ("multipliers", rows * groups, multipliers.count), ("scales", rows, scales.count),
        ] where expected != found {
            throw .shapeMismatch(what: what, expected: "\(expected)", found: "\(found)")
        }
        let range = scheme.codeRange, isBinary = scheme.bits == 1
        if let wrong = codes.first(where: { !range.contains($0) || isBinary && $0 == 0 }) {
            let allowed = isBinary ? "-1 and 1" : "\(range.lowerBound)…\(range.upperBound)"
            throw .outOfRange(what: "\(scheme.isTernary ? "ternary" : "\(scheme.bits)-bit") code", allowed: allowed, found: "\(wrong)")
        }
        if multipliers.contains(-128) { throw .outOfRange(what: "multiplier", allowed: "−127…127", found: "-128") }
        if let row = scales.firstIndex(where: { !$0.isFinite }) { throw .notFinite(what: "scales", row: row, column: 0) }
        self = codes.withUnsafeBufferPointer { codes in
            multipliers.withUnsafeBufferPointer { multipliers in
                scales.withUnsafeBufferPointer { scales in
                    QuantizedMatrix(
                        rows: rows, columns: columns, scheme: scheme, codes: codes.baseAddress!, multipliers: multipliers.baseAddress,
                        scales: scales.baseAddress!)
                }
            }
        }
    }

    private init(
        rows: Int, columns: Int, scheme: QuantizationScheme, codes: UnsafePointer<Int8>, multipliers: UnsafePointer<Int8>?,
        scales: UnsafePointer<Float>
    ) {
        (self.rows, self.columns, self.scheme) = (rows, columns, scheme)
        packed = PackedWeights(
            Self.config(scheme), codes: codes, multipliers: multipliers, scales: scales, inputs: columns, outputs: rows, group: scheme.group)
    }

    /// The kernel in use for a scheme, and how it wants its weights.
    internal static func config(_ scheme: QuantizationScheme) -> UnsafePointer<ck_gemm_config> {
        let kernels = ck_active_kernels().pointee
        return switch (scheme.bits, scheme.activations) {
        case (_, .sign): kernels.gemm_u1_s1
        case (4, _): kernels.gemm_u8_s4
        case (2, _): kernels.gemm_u8_s2
        case (1, _): kernels.gemm_u8_s1
        case (_, .uint7): kernels.gemm_u7_s8
        default: kernels.gemm_u8_s8
        }
    }

    private static func check(rows: Int, columns: Int, scheme: QuantizationScheme) throws(NumericsError) {
        guard rows >= 1, columns >= 1, columns <= maximumColumns else {
            throw .outOfRange(what: "quantized weights", allowed: "1×1 to n×\(maximumColumns)", found: "\(rows)×\(columns)")
        }
    }

    /// Bytes really held: codes, multipliers, scales, the sums for zero points and, for 8 bits where kernels add in int16, the list of pairs that could
    /// saturate (1 % for Gaussian weights); padding included.
    public var byteCount: Int { packed.byteCount }

    /// The weights that the codes stand for, [N, K]: scale · multiplier · code.
    public func dequantized() -> Matrix {
        Matrix(rows: rows, columns: columns) { destination in
            if let start = destination.baseAddress { dequantize(rows: 0..<rows, into: start) }
        }
    }

    /// The weights of some outputs, [range, K], less the zero points [N, groups] where there are any.
    internal func dequantize(rows range: Range<Int>, into destination: UnsafeMutablePointer<Float>, zeroPoints: [Int8] = []) {
        let groups = max(1, scheme.groups(columns: columns)), size = scheme.group == 0 ? columns : scheme.group
        let codes = AlignedBuffer<Int8>(unfilledCount: columns)
        let multipliers = AlignedBuffer<Int8>(unfilledCount: groups)
        multipliers.baseAddress.update(repeating: 1, count: groups)
        var next = destination
        for n in range {
            packed.unpack(row: n, codes: codes.baseAddress, multipliers: multipliers.baseAddress)
            for group in 0..<groups {
                let scale = packed.scale(n) * Float(multipliers.baseAddress[group])
                let zero = zeroPoints.isEmpty ? 0 : Int32(zeroPoints[n * groups + group])
                let length = min(size, columns - group * size)
                ck_active_kernels().pointee.dequantize_f32_s8(codes.baseAddress + group * size, length, scale, zero, next)
                next += length
            }
        }
    }

    /// The integer codes of output `row`, K of them.
    public func codes(row: Int) -> [Int8] {
        trapUnless(row >= 0 && row < rows, "row of quantized weights: expected an index in 0..<\(rows), found \(row)")
        let multipliers = AlignedBuffer<Int8>(unfilledCount: max(1, scheme.groups(columns: columns)))
        return [Int8](unsafeUninitializedCapacity: columns) { codes, count in
            packed.unpack(row: row, codes: codes.baseAddress!, multipliers: multipliers.baseAddress)
            count = columns
        }
    }

    /// Codes [N, K], multipliers [N, K / group rounded up] and scales [N]: what `init(rows:columns:scheme:codes:multipliers:scales:)` takes.
    package func unpacked() -> (codes: [Int8], multipliers: [Int8], scales: [Float]) {
        let groups = scheme.groups(columns: columns)
        var (codes, multipliers) = ([Int8](repeating: 0, count: rows * columns), [Int8](repeating: 0, count: max(1, rows * groups)))
        codes.withUnsafeMutableBufferPointer { codes in
            multipliers.withUnsafeMutableBufferPointer { multipliers in
                for n in 0..<rows {
                    packed.unpack(row: n, codes: codes.baseAddress! + n * columns, multipliers: multipliers.baseAddress! + n * groups)
                }
            }
        }
        let scales = (0..<rows).map { packed.scale($0) }
        return (codes, Array(multipliers.prefix(rows * groups)), scales)
    }
}

extension QuantizedMatrix: CustomStringConvertible {
    public var description: String { "QuantizedMatrix(\(rows)×\(columns), \(scheme), \(byteCount) bytes)" }
}
