internal import CKernels

/// Codes, multipliers and scales of a matrix of float weights, some outputs at a time, so that a panel's weights are in the cache from their scale to
/// their packing.
internal struct PanelQuantizer: ~Copyable {
    private let weight: Matrix
    private let group: Int
    private let bits: Int32
    private let codes: AlignedBuffer<Int8>
    private let multipliers: AlignedBuffer<Int8>
    private let workspace: AlignedBuffer<UInt8>
    // The scale of all outputs, where they share one.
    private let sharesScale: Bool
    private let shared: AlignedBuffer<Float>

    /// For up to `panelRows` outputs at a time.
    ///
    /// - Throws: `NumericsError.notFinite`, where a scale of all weights is to be found.
    init(_ weight: Matrix, scheme: QuantizationScheme, panelRows: Int) throws(NumericsError) {
        (self.weight, group) = (weight, scheme.group)
        bits = scheme.isTernary ? Int32(ck_ternary) : Int32(scheme.bits)
        codes = AlignedBuffer(unfilledCount: panelRows * weight.columns)
        multipliers = AlignedBuffer(unfilledCount: panelRows * scheme.groups(columns: weight.columns))
        sharesScale = scheme.granularity == .tensor
        workspace = AlignedBuffer(unfilledCount: ck_quantize_weights_workspace(bits, sharesScale ? weight.count : weight.columns, group))
        shared = AlignedBuffer(count: 1)
        // As one output of all weights.
        if sharesScale {
            try run(outputs: 1, first: 0, inputs: weight.count, shared: nil, codes: nil, multipliers: nil, scales: shared.baseAddress)
        }
    }

    /// Codes and multipliers of some outputs, valid until the next call; writes their scales.
    ///
    /// - Throws: `NumericsError.notFinite`
    func quantize(rows: Range<Int>, scales: UnsafeMutablePointer<Float>) throws(NumericsError) -> (UnsafeRawPointer, UnsafePointer<Int8>?) {
        let placed = group == 0 ? nil : multipliers.baseAddress
        try run(
            outputs: rows.count, first: rows.lowerBound * weight.columns, inputs: weight.columns,
            shared: sharesScale ? UnsafePointer(shared.baseAddress) : nil,
            codes: codes.baseAddress, multipliers: placed, scales: scales)
        return (UnsafeRawPointer(codes.baseAddress), placed.map { UnsafePointer($0) })
    }

    private func run(
        outputs: Int, first: Int, inputs: Int, shared: UnsafePointer<Float>?, codes: UnsafeMutablePointer<Int8>?,
        multipliers: UnsafeMutablePointer<Int8>?, scales: UnsafeMutablePointer<Float>
    ) throws(NumericsError) {
        let areFinite = weight.withUnsafeBufferPointer { elements in
            var source = ck_float_weights(
                weights: elements.baseAddress! + first, inputs: inputs, group: group, bits: bits, shared_scale: shared)
            return ck_active_kernels().pointee.quantize_weights_s8_f32(&source, outputs, codes, multipliers, scales, workspace.baseAddress) != 0
        }
        if areFinite { return }
        let at = weight.firstNonFinite!
        throw .notFinite(what: "weights", row: at.row, column: at.column)
    }
}
