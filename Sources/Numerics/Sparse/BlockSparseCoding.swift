internal import CKernels

extension BlockSparseMatrix {
    /// Puts the stored blocks: `gaps` between their places [strips, across], and `values`, or `codes` and `scales`.
    internal func encode(into archive: inout some TensorArchiveWriter) {
        let arrays = blockArrays(), across = shape.across(inputs: columns)
        archive.put(shape.description, named: "format")
        archive.put(values.rawValue, named: "values")
        if expectedRows != 64 { archive.put(expectedRows, named: "expectedRows") }
        let places = arrays.blockOffsets.indices.dropLast().lazy.flatMap { strip in
            arrays.blockColumns[Int(arrays.blockOffsets[strip])..<Int(arrays.blockOffsets[strip + 1])].lazy.map { strip * across + Int($0) }
        }
        archive.put(bytes: CodePacking.gaps(places), named: "gaps")
        archive.put(floats: arrays.values, named: "values")
        archive.put(integers: arrays.codes, named: "codes")
        // One scale for all outputs is stored once.
        archive.put(floats: Set(arrays.scales.map(\.bitPattern)).count == 1 ? [arrays.scales[0]] : arrays.scales, named: "scales")
    }

    /// The blocks that an archive holds, of a matrix [`rows`, `columns`].
    internal init(from archive: some TensorArchiveReader, rows: Int, columns: Int) throws(NumericsError) {
        let name = try archive.text(named: "format")
        guard let shape = BlockShape.all.first(where: { $0.description == name }) else {
            throw .unknown(what: "block shape", allowed: BlockShape.all.map(\.description), found: name)
        }
        let expectedRows = archive.value(named: "expectedRows") == nil ? 64 : try archive.integer(named: "expectedRows")
        let values = try archive.choice(SparseValues.self, named: "values"), gaps = try archive.bytes(named: "gaps")
        let strips = shape.strips(outputs: rows), across = shape.across(inputs: columns), blocks = CodePacking.placeCount(gaps)
        let arrays = (strips + 1 + blocks) * MemoryLayout<UInt32>.stride
        try archive.charge(2 * arrays + Self.mostBytes(rows: rows, columns: columns, shape: shape, blocks: blocks, values: values))
        var offsets = [UInt32](repeating: 0, count: strips + 1), blockColumns: [UInt32] = []
        blockColumns.reserveCapacity(blocks)
        try CodePacking.forEachPlace(gaps, count: strips * across) { (place) throws(NumericsError) in
            offsets[place / across + 1] += 1
            blockColumns.append(UInt32(place % across))
        }
        for strip in 0..<strips { offsets[strip + 1] += offsets[strip] }
        switch values {
        case .float32:
            let weights = try archive.floats(named: "values")
            try archive.charge(weights.count * MemoryLayout<Float>.stride)
            try self.init(
                rows: rows, columns: columns, shape: shape, blockOffsets: offsets, blockColumns: blockColumns, blockValues: weights,
                expectedRows: expectedRows)
        case .int8:
            let codes = try archive.integers8(named: "codes"), scales = try archive.floats(named: "scales")
            try archive.charge(codes.count)
            try self.init(
                rows: rows, columns: columns, shape: shape, blockOffsets: offsets, blockColumns: blockColumns, codes: codes, scales: scales,
                expectedRows: expectedRows)
        }
    }
}

extension BlockSparseMatrix {
    /// Bytes of the packed arrays of `blocks` blocks and of the scratch memory that packs them: at most so many.
    package static func mostBytes(rows: Int, columns: Int, shape: BlockShape, blocks: Int, values: SparseValues) -> Int {
        let strips = shape.strips(outputs: rows), weights = blocks * shape.rows * shape.columns
        let scratch = (3 * strips + 3 * columns + 64) * MemoryLayout<UInt32>.stride
        switch values {
        case .float32:
            // A strip is listed once for each slice in which it has a block; slices have 128 inputs or more.
            let listed = min(blocks, strips * (columns / 128 + 1))
            return scratch + 4 * weights + 2 * blocks + 12 * listed + 4 * (columns / 128 + 2)
        case .int8:
            // Quads of 4 inputs, each split into two at the worst: single weights are filled up to a multiple of 4 in each strip.
            let listed = min(blocks, strips), quads = shape.columns == 1 ? 2 * ((blocks + 3 * listed + 3) / 4) : blocks * shape.columns / 2
            return scratch + quads * (4 * shape.rows + (shape.columns == 1 ? 8 : 2)) + 12 * listed + weights + 12 * rows
        }
    }
}
