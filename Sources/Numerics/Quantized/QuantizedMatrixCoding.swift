internal import CKernels

extension QuantizedMatrix {
    /// Puts the scheme, and `codes` in the bits that they need, `multipliers` and `scales`.
    internal func encode(into archive: inout some TensorArchiveWriter) {
        let parts = unpacked()
        archive.put(scheme.description, named: "format")
        archive.put(codes: parts.codes, bits: scheme.bits, named: "codes")
        archive.put(integers: parts.multipliers, named: "multipliers")
        archive.put(floats: parts.scales, named: "scales")
    }

    /// The weights that an archive holds, a matrix [`rows`, `columns`].
    internal init(from archive: some TensorArchiveReader, rows: Int, columns: Int) throws(NumericsError) {
        let scheme = try QuantizationScheme(named: archive.text(named: "format"))
        let count = try checkedProduct(rows, columns, what: "quantized weights")
        let codes = try archive.codes(named: "codes", bits: scheme.bits, count: count)
        let multipliers = try archive.integers8(named: "multipliers"), scales = try archive.floats(named: "scales")
        try archive.charge(PackedWeights.mostBytes(Self.config(scheme), inputs: columns, outputs: rows, group: scheme.group))
        try self.init(rows: rows, columns: columns, scheme: scheme, codes: codes, multipliers: multipliers, scales: scales)
    }
}
