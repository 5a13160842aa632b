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
        try archive.charge(Self.mostBytes(rows: rows, columns: columns, scheme))
        try self.init(rows: rows, columns: columns, scheme: scheme, codes: codes, multipliers: multipliers, scales: scales)
    }

    /// Bytes of the packed arrays, at most: of 8-bit weights about half of all pairs can be listed as unsafe, in a byte and more each.
    private static func mostBytes(rows: Int, columns: Int, _ scheme: QuantizationScheme) -> Int {
        let panels = roundUp(rows, toMultipleOf: ck_panel), padded = roundUp(columns, toMultipleOf: ck_fold)
        let lists = scheme.bits == 8 ? panels * padded : 0, sums = ck_gemm_segments(columns, scheme.group, Int32(scheme.bits)) * panels * 4
        return ck_gemm_code_bytes(columns, rows, Int32(scheme.bits)) + ck_gemm_multiplier_count(columns, rows, scheme.group) + lists + sums + 4
            * panels
    }
}
