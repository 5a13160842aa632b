internal import CKernels

/// The stored weights of an N:M sparse matrix [N, K] as plain arrays: what `NMSparseMatrix` takes from elsewhere and gives back exactly. Every group of
/// inputs of an output has `kept` slots, those of the filled zeros included; the last group of an output counts as a whole one, and K as a multiple
/// of 8.
public struct NMArrays: Sendable, Hashable {
    /// [N][slots]: the place of each slot within its group, ascending.
    public var positions: [UInt8]
    /// float32 weights [N][slots]; none of int8 ones.
    public var values: [Float] = []
    /// int8 codes [N][slots]; none of float32 weights.
    public var codes: [Int8] = []
    /// Of codes: [N], or one for all outputs.
    public var scales: [Float] = []

    public init(positions: [UInt8], values: [Float] = [], codes: [Int8] = [], scales: [Float] = []) {
        (self.positions, self.values, self.codes, self.scales) = (positions, values, codes, scales)
    }
}

extension NMSparseMatrix {
    /// Slots of an output: half of its inputs, counted in eights.
    package static func slots(inputs: Int) -> Int { (inputs / 8 + (inputs % 8 == 0 ? 0 : 1)) * 4 }

    /// The stored weights; int8 as the codes and scales that they are.
    public func arrays() -> NMArrays {
        let count = rows * Self.slots(inputs: columns), mask = UInt8(sparsity.group - 1)
        var arrays = NMArrays(positions: [UInt8](repeating: 0, count: count), scales: outputScales)
        switch storage.config {
        case .float32(let config):
            arrays.values = [Float](repeating: 0, count: count)
            withFloat32 { config.pointee.slots($0, &arrays.positions, &arrays.values) }
        case .int8(let config):
            arrays.codes = [Int8](repeating: 0, count: count)
            withInt8 { config.pointee.slots($0, &arrays.positions, &arrays.codes) }
        }
        for slot in 0..<count { arrays.positions[slot] &= mask }
        return arrays
    }

    /// Weights that come from elsewhere, kept exactly: float32 values, or int8 codes, −127…127, with scales.
    ///
    /// - Throws: `NumericsError.shapeMismatch` for other counts or both kinds of weights, `.invalidStructure` for positions that do not ascend within a
    ///   group, `.outOfRange` for an empty matrix, too many inputs, a code of −128 or a weight other than 0 behind K, `.notFinite`.
    public init(rows: Int, columns: Int, sparsity: NMSparsity, arrays: NMArrays) throws(NumericsError) {
        let values: SparseValues = arrays.codes.isEmpty ? .float32 : .int8
        try Self.checkSize(rows: rows, columns: columns, sparsity, values)
        let count = try checkedProduct(rows, Self.slots(inputs: columns), what: "slots of \(sparsity) weights")
        let weights = values == .float32 ? arrays.values.count : arrays.codes.count + arrays.values.count
        for (what, found) in [("positions", arrays.positions.count), ("weights", weights)] where found != count {
            throw .shapeMismatch(what: "\(what) of \(sparsity) weights", expected: "\(count)", found: "\(found)")
        }
        if let wrong = arrays.values.firstIndex(where: { !$0.isFinite }) { throw .notFinite(what: "values", row: wrong, column: 0) }
        if values == .int8 {
            try checkScales(arrays.scales, outputs: rows)
            try checkSparseCodes(arrays.codes)
        }
        let positions = try Self.positionsOfEights(arrays, columns: columns, sparsity)
        (self.rows, self.columns, self.sparsity, self.values) = (rows, columns, sparsity, values)
        storage = Storage(values, inputs: columns, outputs: rows)
        switch storage.config {
        case .float32(let config):
            config.pointee.pack_slots(
                positions, arrays.values, columns, rows, sparsity.group, storage.floatCodes.baseAddress, storage.floats.baseAddress)
        case .int8(let config):
            config.pointee.pack_slots(
                positions, arrays.codes, columns, rows, sparsity.group, storage.byteCodes.baseAddress, storage.bytes.baseAddress,
                storage.sums.baseAddress)
            for n in 0..<rows { storage.scales.baseAddress[n] = arrays.scales[arrays.scales.count == 1 ? 0 : n] }
        }
    }

    /// The checked positions, counted from the start of 8 inputs.
    private static func positionsOfEights(_ arrays: NMArrays, columns: Int, _ sparsity: NMSparsity) throws(NumericsError) -> [UInt8] {
        let slots = slots(inputs: columns), kept = sparsity.kept
        var positions = arrays.positions
        for slot in positions.indices {
            let position = positions[slot], isFirst = slot % kept == 0
            guard position < sparsity.group, isFirst || position > arrays.positions[slot - 1] else {
                throw .invalidStructure(
                    what: "position of slot \(slot)", expected: "ascending, in 0..<\(sparsity.group)", found: "\(position)")
            }
            positions[slot] += UInt8(slot % 4 / kept * sparsity.group)
            if slot % slots / 4 * 8 + Int(positions[slot]) >= columns {
                let isZero = arrays.codes.isEmpty ? arrays.values[slot] == 0 : arrays.codes[slot] == 0
                guard isZero else { throw .outOfRange(what: "weight of slot \(slot), behind the last input", allowed: "0", found: "another") }
            }
        }
        return positions
    }
}
