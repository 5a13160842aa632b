internal import CKernels

/// The stored blocks of a sparse matrix as plain arrays, block-CSR: what `BlockSparseMatrix` takes from elsewhere and gives back exactly.
public struct BlockArrays: Sendable, Hashable {
    /// [N/R + 1]: the blocks of strip s are `blockOffsets[s]` ..< `blockOffsets[s + 1]`.
    public var blockOffsets: [UInt32]
    /// [blocks], in units of C, ascending within a strip.
    public var blockColumns: [UInt32]
    /// float32 weights [blocks][R][C]; none of int8 ones.
    public var values: [Float] = []
    /// int8 codes [blocks][R][C]; none of float32 weights.
    public var codes: [Int8] = []
    /// Of codes: [N], or one for all outputs.
    public var scales: [Float] = []

    public init(blockOffsets: [UInt32], blockColumns: [UInt32], values: [Float] = [], codes: [Int8] = [], scales: [Float] = []) {
        (self.blockOffsets, self.blockColumns) = (blockOffsets, blockColumns)
        (self.values, self.codes, self.scales) = (values, codes, scales)
    }
}

extension BlockSparseMatrix {
    /// The stored blocks, zeros among their weights included; int8 as the codes and scales that they are.
    public func blockArrays() -> BlockArrays {
        switch values {
        case .float32: return floatArrays()
        case .int8: return codeArrays()
        }
    }

    private func floatArrays() -> BlockArrays {
        let (r, c) = (shape.rows, shape.columns), strips = shape.strips(outputs: rows), starts = firstOutputs
        var offsets = [UInt32](repeating: 0, count: strips + 1), columns = [UInt32](repeating: 0, count: blockCount)
        var values = [Float](repeating: 0, count: storedWeightCount)
        for (part, first) in zip(parts, starts) {
            part.forEachStrip { strip, _, blocks in offsets[first / r + strip + 1] += UInt32(blocks.count) }
        }
        for strip in 0..<strips { offsets[strip + 1] += offsets[strip] }
        // The next block of each strip: slices come in ascending order of their columns.
        var next = offsets
        for (part, first) in zip(parts, starts) {
            part.forEachStrip { strip, slice, blocks in
                for block in blocks {
                    let place = Int(next[first / r + strip])
                    next[first / r + strip] += 1
                    columns[place] = UInt32(slice * part.sliceInputs / c) + UInt32(part.columns.baseAddress[block])
                    for weight in 0..<r * c {  // packed [C][R]
                        values[(place * r + weight % r) * c + weight / r] = part.floats.baseAddress[block * r * c + weight]
                    }
                }
            }
        }
        return BlockArrays(blockOffsets: offsets, blockColumns: columns, values: values)
    }

    private func codeArrays() -> BlockArrays {
        let strips = shape.strips(outputs: rows)
        var arrays = BlockArrays(blockOffsets: [0], blockColumns: [], scales: outputScales)
        arrays.blockOffsets.reserveCapacity(strips + 1)
        arrays.blockColumns.reserveCapacity(blockCount)
        arrays.codes.reserveCapacity(storedWeightCount)
        for part in parts {
            var quads = [Range<Int>](repeating: 0..<0, count: shape.strips(outputs: part.outputs))
            part.forEachStrip { strip, _, range in quads[strip] = range }
            for range in quads {
                appendStrip(part, range, to: &arrays)
                arrays.blockOffsets.append(UInt32(arrays.blockColumns.count))
            }
        }
        return arrays
    }

    /// The blocks of one strip from its quads: quads that were split add up, and places filled with zeros repeat a block that there is.
    private func appendStrip(_ part: PackedBlocks, _ quads: Range<Int>, to arrays: inout BlockArrays) {
        let (r, c) = (shape.rows, shape.columns), perBlock = max(1, c / 4)
        func input(_ quad: Int, _ weight: Int) -> (block: UInt32, within: Int) {
            if c == 1 { return (UInt32(part.columns.baseAddress[4 * quad + weight]), 0) }
            let column = Int(part.columns.baseAddress[quad])
            return (UInt32(column / perBlock), column % perBlock * 4 + weight)
        }
        let columns = Set(quads.flatMap { quad in c == 1 ? (0..<4).map { input(quad, $0).block } : [input(quad, 0).block] }).sorted()
        let places = Dictionary(uniqueKeysWithValues: columns.enumerated().map { ($1, $0) }), start = arrays.codes.count
        arrays.blockColumns += columns
        arrays.codes += repeatElement(0, count: columns.count * r * c)
        for quad in quads {
            for weight in 0..<4 {
                let (block, within) = input(quad, weight)
                let place = start + places[block]! * r * c + within
                for row in 0..<r { arrays.codes[place + row * c] &+= part.codes.baseAddress[(quad * r + row) * 4 + weight] }
            }
        }
    }
}

extension PackedBlocks {
    /// Calls `body` with each listed strip, its slice, and where its blocks (quads of int8 weights) are.
    internal func forEachStrip(_ body: (_ strip: Int, _ slice: Int, _ blocks: Range<Int>) -> Void) {
        var (listed, block) = (0, 0)
        for slice in 0..<sliceCount {
            for run in Int(runStarts.baseAddress[slice])..<Int(runStarts.baseAddress[slice + 1]) {
                let run = runs.baseAddress[run]
                for _ in 0..<run.strips {
                    body(Int(strips.baseAddress[listed]), slice, block..<block + Int(run.blocks))
                    listed += 1
                    block += Int(run.blocks)
                }
            }
        }
    }
}
