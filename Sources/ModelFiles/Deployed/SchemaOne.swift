internal import CompactNumerics

/// Files of schema 1: a convolution's windows stand beside its weights, and sparse layers hold the weights that are not 0 with the gaps between
/// their places in the dense matrix. All else is as today.
internal enum SchemaOne {
    static func layer(_ node: ArchiveNode, prefix: String, _ context: ArchiveContext) throws(NumericsError) -> any Layer {
        var weights = node
        guard ["linear", "half", "quantized", "weightOnly", "sparse", "nOfM"].contains(node.kind) else {
            return try context.layer(node, prefix: prefix)
        }
        let reader = ArchiveReader(node: node, prefix: prefix, context: context)
        guard weights.fields.removeValue(forKey: "windows") != nil else { return try linear(node, prefix: prefix, context) }
        guard let linear = try linear(weights, prefix: prefix, context) as? any LinearLayer else {
            throw .unknown(what: "kind of weights", allowed: ["a linear layer"], found: node.kind)
        }
        return try Convolution(windows: reader.windows(), linear: linear)
    }

    private static func linear(_ node: ArchiveNode, prefix: String, _ context: ArchiveContext) throws(NumericsError) -> any Layer {
        let reader = ArchiveReader(node: node, prefix: prefix, context: context)
        switch node.kind {
        case "sparse": return try sparseLayer(reader)
        case "nOfM": return try nOfMLayer(reader)
        default: return try context.layer(node, prefix: prefix)
        }
    }

    // MARK: - Blocks

    private static func sparseLayer(_ reader: ArchiveReader) throws(NumericsError) -> SparseLinear {
        let fields = try reader.linearFields(), size = try sizes(reader, "x"), shape = try BlockShape(rows: size[0], columns: size[1])
        let places = try StoredPlaces(reader, rows: fields.outputs, columns: fields.inputs)
        let weight: BlockSparseMatrix
        switch try reader.choice(SparseValues.self, named: "values") {
        case .float32:
            let values = try reader.floats(named: "values")
            let (offsets, columns, blocks) = try places.blocks(of: values, zero: 0, shape, .float32, reader)
            weight = try BlockSparseMatrix(
                rows: fields.outputs, columns: fields.inputs, shape: shape, blockOffsets: offsets, blockColumns: columns, blockValues: blocks)
        case .int8:
            let codes = try reader.integers8(named: "codes"), scales = try reader.floats(named: "scales")
            let (offsets, columns, blocks) = try places.blocks(of: codes, zero: 0, shape, .int8, reader)
            weight = try BlockSparseMatrix(
                rows: fields.outputs, columns: fields.inputs, shape: shape, blockOffsets: offsets, blockColumns: columns, codes: blocks,
                scales: scales)
        }
        return try SparseLinear(weight: weight, bias: fields.bias, activation: fields.activation)
    }

    /// The two numbers of "4x1" or "2:4".
    private static func sizes(_ reader: ArchiveReader, _ separator: Character) throws(NumericsError) -> [Int] {
        let format = try reader.text(named: "format"), sizes = format.split(separator: separator).compactMap { Int($0) }
        guard sizes.count == 2 else { throw .unknown(what: "format of sparse weights", allowed: ["R\(separator)C"], found: format) }
        return sizes
    }

    // MARK: - N:M

    private static func nOfMLayer(_ reader: ArchiveReader) throws(NumericsError) -> NMSparseLinear {
        let fields = try reader.linearFields(), size = try sizes(reader, ":"), sparsity = try NMSparsity(kept: size[0], group: size[1])
        let places = try StoredPlaces(reader, rows: fields.outputs, columns: fields.inputs)
        let values = try reader.choice(SparseValues.self, named: "values")
        let slots = try checkedProduct(fields.outputs, NMSparseMatrix.slots(inputs: fields.inputs), what: "slots of \(sparsity) weights")
        // Positions twice, weights, and what they are packed into.
        try reader.charge(
            slots * (values == .int8 ? 3 : 6) + NMSparseMatrix.mostBytes(rows: fields.outputs, columns: fields.inputs, values))
        let arrays: NMArrays
        switch values {
        case .float32:
            let (positions, weights) = try places.slots(of: reader.floats(named: "values"), zero: 0, sparsity)
            arrays = NMArrays(positions: positions, values: weights)
        case .int8:
            let (positions, codes) = try places.slots(of: reader.integers8(named: "codes"), zero: 0, sparsity)
            arrays = NMArrays(positions: positions, codes: codes, scales: try reader.floats(named: "scales"))
        }
        let weight = try NMSparseMatrix(rows: fields.outputs, columns: fields.inputs, sparsity: sparsity, arrays: arrays)
        return try NMSparseLinear(weight: weight, bias: fields.bias, activation: fields.activation)
    }
}

/// Where the weights of a file of schema 1 are, row after row: compressed sparse rows without values.
private struct StoredPlaces {
    let rows: Int
    let columns: Int
    private var offsets: [Int]
    private var inputs: [UInt32] = []

    init(_ reader: ArchiveReader, rows: Int, columns: Int) throws(NumericsError) {
        (self.rows, self.columns) = (rows, columns)
        let gaps = try reader.bytes(named: "gaps"), count = CodePacking.placeCount(gaps)
        try reader.charge(4 * count + 8 * (rows + 1))
        offsets = [Int](repeating: 0, count: rows + 1)
        inputs.reserveCapacity(count)
        try CodePacking.forEachPlace(gaps, count: rows * columns) { (place) throws(NumericsError) in
            offsets[place / columns + 1] += 1
            inputs.append(UInt32(place % columns))
        }
        for row in 0..<rows { offsets[row + 1] += offsets[row] }
    }

    private func check(_ weights: Int) throws(NumericsError) {
        guard weights == inputs.count else {
            throw .shapeMismatch(what: "weights", expected: "\(inputs.count), one for each place", found: "\(weights)")
        }
    }

    /// Block-CSR: a block is stored if any of its weights is, the others are `zero`.
    func blocks<Weight>(
        of weights: [Weight], zero: Weight, _ shape: BlockShape, _ values: SparseValues, _ reader: ArchiveReader
    ) throws(NumericsError) -> (offsets: [UInt32], columns: [UInt32], weights: [Weight]) {
        try check(weights.count)
        let (r, c) = (shape.rows, shape.columns), strips = (rows + r - 1) / r
        func columnsOfStrip(_ strip: Int) -> [UInt32] {
            let all = inputs[offsets[strip * r]..<offsets[min(strip * r + r, rows)]].map { $0 / UInt32(c) }
            return r == 1 && c == 1 ? all : Set(all).sorted()
        }
        var count = 0
        for strip in 0..<strips { count += columnsOfStrip(strip).count }
        // Canonical arrays twice, and what they are packed into.
        let canonical = count * (4 + r * c * MemoryLayout<Weight>.stride) + 4 * (strips + 1)
        try reader.charge(2 * canonical + BlockSparseMatrix.mostBytes(rows: rows, columns: columns, shape: shape, blocks: count, values: values))
        var blockOffsets: [UInt32] = [0], blockColumns: [UInt32] = [], blockWeights = [Weight](repeating: zero, count: count * r * c)
        for strip in 0..<strips {
            let first = blockColumns.count, found = columnsOfStrip(strip)
            let places = Dictionary(uniqueKeysWithValues: found.enumerated().map { ($1, first + $0) })
            blockColumns += found
            blockOffsets.append(UInt32(blockColumns.count))
            for row in strip * r..<min(strip * r + r, rows) {
                for place in offsets[row]..<offsets[row + 1] {
                    let input = Int(inputs[place]), block = places[UInt32(input / c)]!
                    blockWeights[(block * r + row - strip * r) * c + input % c] = weights[place]
                }
            }
        }
        return (blockOffsets, blockColumns, blockWeights)
    }

    /// The slots of each group: its weights, and `zero` at the first of its other places up to as many as it has.
    func slots<Weight>(
        of weights: [Weight], zero: Weight, _ sparsity: NMSparsity
    ) throws(NumericsError) -> (positions: [UInt8], weights: [Weight]) {
        try check(weights.count)
        let slots = NMSparseMatrix.slots(inputs: columns), (kept, group) = (sparsity.kept, sparsity.group)
        var positions: [UInt8] = [], stored: [Weight] = []
        positions.reserveCapacity(rows * slots)
        stored.reserveCapacity(rows * slots)
        for row in 0..<rows {
            var place = offsets[row]
            for first in stride(from: 0, to: slots / kept * group, by: group) {
                var found: [UInt8: Weight] = [:]
                while place < offsets[row + 1], inputs[place] < first + group {
                    found[UInt8(Int(inputs[place]) - first)] = weights[place]
                    place += 1
                }
                guard found.count <= kept else {
                    throw .outOfRange(
                        what: "weights that output \(row) keeps of inputs \(first)…", allowed: "at most \(kept)", found: "\(found.count)")
                }
                for position in 0..<UInt8(group) where found.count < kept && found[position] == nil { found[position] = zero }
                for position in found.keys.sorted() {
                    positions.append(position)
                    stored.append(found[position]!)
                }
            }
        }
        return (positions, stored)
    }
}
