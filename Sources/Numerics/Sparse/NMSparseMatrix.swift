internal import CKernels

/// Of every `group` consecutive inputs of an output, `kept` weights are stored (Mishra et al. 2021, arXiv:2104.08378).
public struct NMSparsity: Sendable, Hashable, CustomStringConvertible {
    public let kept: Int
    public let group: Int

    public static let twoOfFour = NMSparsity(checked: 2, 4)
    public static let fourOfEight = NMSparsity(checked: 4, 8)
    /// Those that kernels exist for.
    public static let all = [twoOfFour, fourOfEight]

    private init(checked kept: Int, _ group: Int) {
        (self.kept, self.group) = (kept, group)
    }

    /// - Throws: `NumericsError.unknown` for an N:M that no kernel exists for.
    public init(kept: Int, group: Int) throws(NumericsError) {
        self.init(checked: kept, group)
        guard Self.all.contains(self) else {
            throw .unknown(what: "N:M sparsity", allowed: Self.all.map(\.description), found: "\(kept):\(group)")
        }
    }

    public var description: String { "\(kept):\(group)" }

    /// The group that keeps more than it may, counted row after row; nil where the mask fits.
    internal func firstCrowdedGroup(of mask: WeightMask) -> (row: Int, inputs: Range<Int>)? {
        let across = roundUp(mask.columns, toMultipleOf: group) / group
        let crowded = ck_nm_first_crowded(mask.keeps, mask.columns, mask.rows, kept, group)
        guard crowded < mask.rows * across else { return nil }
        let first = crowded % across * group
        return (crowded / across, first..<min(first + group, mask.columns))
    }
}

/// Weights W[N, K] of N:M sparsity, packed for products that have a fixed trip count and no branch for a row.
///
/// Bytes: float32 4.5 for a stored weight (a 4-bit position), int8 1.5, half of the weights being stored. A group that keeps fewer weights than it
/// may is filled with zeros, which are numbers like any other (0 · ∞ = NaN); weights that are not stored contribute nothing, also where X is
/// infinite or NaN.
public struct NMSparseMatrix: Sendable {
    public let rows: Int
    public let columns: Int
    public let sparsity: NMSparsity
    public let values: SparseValues
    internal let storage: Storage

    /// The kernels for a kind of values, and how they want them.
    internal enum Config {
        case float32(UnsafePointer<ck_nm_f32_config>)
        case int8(UnsafePointer<ck_nm_s8_config>)

        /// Those in use.
        init(_ values: SparseValues) {
            let kernels = ck_active_kernels().pointee
            self = values == .float32 ? .float32(kernels.spmm_f32_f32_nm) : .int8(kernels.spmm_f32_u8_s8nm)
        }

        func sizes(inputs: Int, outputs: Int) -> ck_nm_sizes {
            switch self {
            case .float32(let config): config.pointee.sizes(inputs, outputs)
            case .int8(let config): config.pointee.sizes(inputs, outputs)
            }
        }

        /// Outputs of a panel.
        var panelOutputs: Int {
            switch self {
            case .float32(let config): config.pointee.n_step
            case .int8(let config): config.pointee.n_step
            }
        }
    }

    internal final class Storage: Sendable {
        /// The kernels that it was packed for.
        nonisolated(unsafe) let config: Config
        // Of the two kinds, one is empty.
        let floatCodes: AlignedBuffer<UInt32>
        let floats: AlignedBuffer<Float>
        let byteCodes: AlignedBuffer<UInt8>
        let bytes: AlignedBuffer<Int8>
        let scales: AlignedBuffer<Float>
        let sums: AlignedBuffer<Int32>

        init(_ values: SparseValues, inputs: Int, outputs: Int) {
            let isFloat = values == .float32
            config = Config(values)
            let sizes = config.sizes(inputs: inputs, outputs: outputs)
            floatCodes = AlignedBuffer(count: isFloat ? sizes.codes : 0)
            floats = AlignedBuffer(count: isFloat ? sizes.values : 0)
            byteCodes = AlignedBuffer(count: isFloat ? 0 : sizes.codes)
            bytes = AlignedBuffer(count: isFloat ? 0 : sizes.values)
            scales = AlignedBuffer(count: isFloat ? 0 : outputs)
            sums = AlignedBuffer(count: isFloat ? 0 : outputs)
        }

        var byteCount: Int {
            floatCodes.byteCount + floats.byteCount + byteCodes.byteCount + bytes.byteCount + scales.byteCount + sums.byteCount
        }
    }

    /// Prunes `dense` [N, K]: of each group the weights of the largest magnitude stay, of equal ones the first. The last group of a row may
    /// be shorter.
    ///
    /// - Throws: `NumericsError.outOfRange` for an empty matrix or, in int8, more than 65,536 inputs; `.notFinite` for weights that are no
    ///   numbers.
    public init(_ dense: Matrix, sparsity: NMSparsity = .twoOfFour, values: SparseValues = .float32) throws(NumericsError) {
        var keep = [UInt8](repeating: 0, count: dense.count)
        dense.withUnsafeBufferPointer { elements in
            guard let elements = elements.baseAddress else { return }
            ck_nm_keep_largest(elements, dense.columns, dense.rows, sparsity.kept, sparsity.group, &keep)
        }
        try self.init(dense, keep: keep, sparsity: sparsity, values: values)
    }

    /// The weights of `dense` [N, K] that `mask` keeps.
    ///
    /// - Throws: `NumericsError.shapeMismatch` for a mask of another shape; `.outOfRange` where a group keeps more than it may, and as above.
    public init(
        _ dense: Matrix, mask: WeightMask, sparsity: NMSparsity = .twoOfFour, values: SparseValues = .float32
    ) throws(NumericsError) {
        guard mask.rows == dense.rows, mask.columns == dense.columns else {
            throw .shapeMismatch(what: "mask", expected: "\(dense.rows)×\(dense.columns)", found: "\(mask.rows)×\(mask.columns)")
        }
        if let (row, inputs) = sparsity.firstCrowdedGroup(of: mask) {
            throw .outOfRange(
                what: "weights that output \(row) keeps of inputs \(inputs)", allowed: "at most \(sparsity.kept)",
                found: "\(inputs.count { mask[row, $0] })")
        }
        try self.init(dense, keep: mask.keeps, sparsity: sparsity, values: values)
    }

    private init(_ dense: Matrix, keep: [UInt8], sparsity: NMSparsity, values: SparseValues) throws(NumericsError) {
        try Self.checkSize(rows: dense.rows, columns: dense.columns, sparsity, values)
        if let at = dense.firstNonFinite { throw .notFinite(what: "weights", row: at.row, column: at.column) }
        (rows, columns, self.sparsity, self.values) = (dense.rows, dense.columns, sparsity, values)
        let storage = Storage(values, inputs: dense.columns, outputs: dense.rows)
        dense.withUnsafeBufferPointer { elements in
            let from = elements.baseAddress!
            switch storage.config {
            case .float32(let config):
                config.pointee.pack(
                    from, keep, dense.columns, dense.rows, sparsity.group, storage.floatCodes.baseAddress, storage.floats.baseAddress)
            case .int8(let config):
                config.pointee.pack(
                    from, keep, dense.columns, dense.rows, sparsity.group, storage.byteCodes.baseAddress, storage.bytes.baseAddress,
                    storage.scales.baseAddress, storage.sums.baseAddress)
            }
        }
        self.storage = storage
    }

    internal static func checkSize(rows: Int, columns: Int, _ sparsity: NMSparsity, _ values: SparseValues) throws(NumericsError) {
        guard rows >= 1, columns >= 1, values == .float32 || columns <= 65536 else {
            throw .outOfRange(
                what: "\(sparsity) weights", allowed: values == .int8 ? "at least 1×1 and at most 65,536 inputs" : "at least 1×1",
                found: "\(rows)×\(columns)")
        }
    }

    /// Bytes really held: values, positions, and in int8 a scale and a sum for each output.
    public var byteCount: Int { storage.byteCount }

    /// The weights as a dense matrix [N, K], zeros where none is stored.
    public func dense() -> Matrix {
        var dense = Matrix(rows: rows, columns: columns)
        dense.withUnsafeMutableBufferPointer { elements in
            switch storage.config {
            case .float32(let config): withFloat32 { config.pointee.unpack($0, elements.baseAddress!) }
            case .int8(let config): withInt8 { config.pointee.unpack($0, elements.baseAddress!) }
            }
        }
        return dense
    }

    /// Of int8 weights, one for each output; none of float32 ones.
    package var outputScales: [Float] { values == .float32 ? [] : (0..<rows).map { storage.scales.baseAddress[$0] } }

    internal func withFloat32<Result>(_ body: (UnsafePointer<ck_nm_f32>) -> Result) -> Result {
        var weights = ck_nm_f32(
            inputs: columns, outputs: rows, group: sparsity.group, codes: storage.floatCodes.baseAddress, values: storage.floats.baseAddress)
        return withExtendedLifetime(storage) { withUnsafePointer(to: &weights, body) }
    }

    internal func withInt8<Result>(_ body: (UnsafePointer<ck_nm_s8>) -> Result) -> Result {
        var weights = ck_nm_s8(
            inputs: columns, outputs: rows, group: sparsity.group, codes: storage.byteCodes.baseAddress, values: storage.bytes.baseAddress,
            scales: storage.scales.baseAddress, sums: storage.sums.baseAddress)
        return withExtendedLifetime(storage) { withUnsafePointer(to: &weights, body) }
    }
}
