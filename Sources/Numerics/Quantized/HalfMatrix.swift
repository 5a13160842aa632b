internal import CKernels

/// Weights W[N, K] of 16-bit floats, FP16 or BF16, packed once into the layout that the kernels read: half of float32's bytes. All are finite. The format
/// also says whether activations stay float32.
public struct HalfMatrix: Sendable {
    /// The number format of the weights, and of the activations that they are multiplied by.
    public enum Format: String, Sendable, Hashable, CaseIterable {
        case fp16 = "f16"
        case bf16 = "bf16"
        /// BF16 weights times activations that are rounded to BF16 as well (to nearest, ties to even), sums in float32: what `vdpbf16ps` computes. A sum takes
        /// the odd of two inputs first, then the even one, each by a fused multiply-add, which rounds once; subnormal factors and sums count as 0.
        /// Portable code and every instruction set of x86-64 give the same bits. With weights and activations as rounded, an output is within
        /// (K + 2) · 2⁻²³ · Σ |x · w| + 2⁻¹²⁵ · Σ (1 + |x| + |w|) of the exact sum (gemm.h derives it).
        case bf16a16 = "bf16a16"

        /// Bits of the largest finite number: 65,504 and about 3.39e38.
        fileprivate var largest: UInt16 { self == .fp16 ? 0x7BFF : 0x7F7F }
    }

    /// What becomes of a weight that rounds to infinity: from 65,520 on in FP16, from about 3.396e38 on in BF16.
    public enum Overflow: Sendable, Hashable {
        /// It is an error.
        case refused
        /// It becomes the largest finite number of its sign.
        case clamped
    }

    /// Outputs, N.
    public let rows: Int
    /// Inputs, K.
    public let columns: Int
    public let format: Format
    internal let packed: PackedWeights

    /// Rounds `weight` [N, K] to nearest, ties to even, and packs it.
    ///
    /// - Throws: `NumericsError.notFinite` for NaN and infinity, `.outOfRange` for a weight that rounds to infinity unless `overflow` clamps it.
    public init(_ weight: Matrix, format: Format, overflow: Overflow = .refused) throws(NumericsError) {
        if let at = weight.firstNonFinite { throw .notFinite(what: "weights", row: at.row, column: at.column) }
        let patterns = AlignedBuffer<UInt16>(unfilledCount: weight.count), kernels = ck_active_kernels().pointee
        weight.withUnsafeBufferPointer { elements in
            guard let start = elements.baseAddress else { return }
            (format == .fp16 ? kernels.round_f16_f32 : kernels.round_bf16_f32)(start, patterns.baseAddress, elements.count)
        }
        while let place = Self.firstOverflow(patterns.baseAddress, weight.count, format) {
            guard overflow == .clamped else {
                let (row, column) = (place / weight.columns, place % weight.columns)
                throw .outOfRange(
                    what: "\(format.rawValue) weight at row \(row), column \(column)", allowed: "a number that rounds to a finite one",
                    found: "\(weight[row, column])")
            }
            Self.clamp(patterns.baseAddress, from: place, to: weight.count, format)
        }
        self.init(rows: weight.rows, columns: weight.columns, format: format, patterns: patterns.baseAddress)
    }

    /// The weights with these bit patterns [N, K], row after row.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless there are `rows` · `columns`, `.outOfRange` for sizes below 0 or that overflow, `.notFinite`.
    public init(rows: Int, columns: Int, format: Format, patterns: [UInt16]) throws(NumericsError) {
        let count = try checkedProduct(rows, columns, what: "size of \(format.rawValue) weights")
        guard patterns.count == count else {
            throw .shapeMismatch(what: "bit patterns of \(rows)×\(columns) weights", expected: "\(count)", found: "\(patterns.count)")
        }
        let wrong = patterns.withUnsafeBufferPointer { $0.baseAddress.flatMap { Self.firstOverflow($0, count, format) } }
        if let wrong { throw .notFinite(what: "\(format.rawValue) weights", row: wrong / columns, column: wrong % columns) }
        // A pointer to no patterns still has to be one.
        self = (patterns.isEmpty ? [0] : patterns).withUnsafeBufferPointer {
            HalfMatrix(rows: rows, columns: columns, format: format, patterns: $0.baseAddress!)
        }
    }

    private init(rows: Int, columns: Int, format: Format, patterns: UnsafePointer<UInt16>) {
        (self.rows, self.columns, self.format) = (rows, columns, format)
        packed = PackedWeights(
            Self.config(format), codes: patterns, multipliers: nil, scales: nil, inputs: columns, outputs: rows, group: 0)
    }

    /// The kernel in use for a format, and how it wants its weights.
    internal static func config(_ format: Format) -> UnsafePointer<ck_gemm_config> {
        let kernels = ck_active_kernels().pointee
        return switch format {
        case .fp16: kernels.gemm_f32_f16
        case .bf16: kernels.gemm_f32_bf16
        case .bf16a16: kernels.gemm_bf16_bf16
        }
    }

    /// The first pattern of an infinity or a NaN.
    private static func firstOverflow(_ patterns: UnsafePointer<UInt16>, _ count: Int, _ format: Format) -> Int? {
        var place = 0
        while place < count && patterns[place] & 0x7FFF <= format.largest { place &+= 1 }
        return place < count ? place : nil
    }

    private static func clamp(_ patterns: UnsafeMutablePointer<UInt16>, from first: Int, to count: Int, _ format: Format) {
        for place in first..<count where patterns[place] & 0x7FFF > format.largest {
            patterns[place] = patterns[place] & 0x8000 | format.largest
        }
    }

    /// Bytes really held, padding included.
    public var byteCount: Int { packed.byteCount }

    /// The bit patterns of the weights, [N, K]: what `init(rows:columns:format:patterns:)` takes.
    public func patterns() -> [UInt16] {
        [UInt16](unsafeUninitializedCapacity: rows * columns) { patterns, count in
            count = rows * columns
            guard let start = patterns.baseAddress, count > 0 else { return }
            for n in 0..<rows { packed.unpack(row: n, codes: start + n * columns, multipliers: nil) }
        }
    }

    /// The weights as float32, [N, K].
    public func widened() -> Matrix {
        let kernels = ck_active_kernels().pointee
        let widen = format == .fp16 ? kernels.widen_f32_f16 : kernels.widen_f32_bf16
        let patterns = AlignedBuffer<UInt16>(unfilledCount: columns)
        return Matrix(rows: rows, columns: columns) { destination in
            guard let start = destination.baseAddress else { return }
            for n in 0..<rows {
                packed.unpack(row: n, codes: patterns.baseAddress, multipliers: nil)
                widen(patterns.baseAddress, start + n * columns, columns)
            }
        }
    }

    /// Y[M, N] = relu(X[M, K] · Wᵀ + bias), row-major without gaps.
    package func multiply(
        _ x: UnsafePointer<Float>, rows m: Int, into y: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?, relu: Bool,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        guard m > 0 else { return }
        let target = ck_gemm_output(
            type: ck_output_f32, data: y, stride: rows, bias: bias, relu: relu ? 1 : 0, inverse_scale: 0, zero_point: 0)
        packed.multiply(
            ProductInput(data: x, rows: m, activations: .dynamic, highest: 0), into: target, workspace: &workspace,
            parallelism: parallelism.suited(toMultiplyAdds: m * rows * columns))
    }
}
