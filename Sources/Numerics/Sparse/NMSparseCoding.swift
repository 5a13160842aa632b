internal import CKernels

extension NMSparseMatrix {
    private static func positionBits(_ sparsity: NMSparsity) -> Int { sparsity.group == 4 ? 2 : 4 }

    /// Puts `positions` in 2 or 4 bits each, and `values`, or `codes` and `scales`.
    internal func encode(into archive: inout some TensorArchiveWriter) {
        let arrays = arrays()
        archive.put(sparsity.description, named: "format")
        archive.put(values.rawValue, named: "values")
        archive.put(codes: arrays.positions.map { Int8($0) }, bits: Self.positionBits(sparsity), named: "positions")
        archive.put(floats: arrays.values, named: "values")
        archive.put(integers: arrays.codes, named: "codes")
        archive.put(floats: arrays.scales, named: "scales")
    }

    /// The weights that an archive holds, of a matrix [`rows`, `columns`].
    internal init(from archive: some TensorArchiveReader, rows: Int, columns: Int) throws(NumericsError) {
        let name = try archive.text(named: "format")
        guard let sparsity = NMSparsity.all.first(where: { $0.description == name }) else {
            throw .unknown(what: "N:M sparsity", allowed: NMSparsity.all.map(\.description), found: name)
        }
        let values = try archive.choice(SparseValues.self, named: "values"), slots = rows * Self.slots(inputs: columns)
        let positions = try archive.codes(named: "positions", bits: Self.positionBits(sparsity), count: slots)
        // Positions twice, and the packed layout.
        try archive.charge(2 * slots + Self.mostBytes(rows: rows, columns: columns, values))
        let mask = UInt8(sparsity.group - 1)
        var arrays = NMArrays(positions: positions.map { UInt8(bitPattern: $0) & mask })
        switch values {
        case .float32: arrays.values = try archive.floats(named: "values")
        case .int8: (arrays.codes, arrays.scales) = (try archive.integers8(named: "codes"), try archive.floats(named: "scales"))
        }
        guard arrays.codes.isEmpty == (values == .float32) else { throw .shapeMismatch(what: "codes", expected: "\(slots)", found: "none") }
        try self.init(rows: rows, columns: columns, sparsity: sparsity, arrays: arrays)
    }

    /// Bytes of the packed arrays.
    package static func mostBytes(rows: Int, columns: Int, _ values: SparseValues) -> Int {
        let sizes = Config(values).sizes(inputs: columns, outputs: rows)
        return values == .float32 ? 4 * (sizes.codes + sizes.values) : sizes.codes + sizes.values + 8 * rows
    }
}
