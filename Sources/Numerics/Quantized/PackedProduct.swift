internal import CKernels

/// X [M, K] of a product, row-major without gaps, and how it gets its codes.
internal struct ProductInput {
    let data: UnsafePointer<Float>
    let rows: Int
    let activations: ActivationQuantization
    /// The highest code; of no meaning to formats that read floats.
    let highest: Int32

    fileprivate func source(columns: Int) -> ck_gemm_source {
        var source = ck_gemm_source(
            data: data, rows: rows, inputs: columns, stride: columns, highest: highest, fixed_scale: 0, fixed_zero_point: 0)
        if case .fixed(let scale, let zeroPoint) = activations { (source.fixed_scale, source.fixed_zero_point) = (scale, Int32(zeroPoint)) }
        return source
    }

    fileprivate func rows(_ range: Range<Int>, columns: Int) -> ProductInput {
        ProductInput(data: data + range.lowerBound * columns, rows: range.count, activations: activations, highest: highest)
    }
}

extension PackedWeights {
    /// Y[M, N] = X · Wᵀ as `target` says. Threads take ranges of outputs, or of rows where there are too few outputs.
    ///
    /// Products go chunk by chunk of rows, so that codes are multiplied while they are in the L2 cache and a large batch needs no more memory than a
    /// small one.
    internal func multiply(_ x: ProductInput, into target: ck_gemm_output, workspace: inout Workspace, parallelism: Parallelism) {
        let share = min(x.rows, chunkRows(x.rows))
        var measure = Carver(nil)
        _ = Scratch(self, rows: share, threads: parallelism.threads, from: &measure)
        var carver = Carver(workspace.reserve(byteCount: measure.byteCount))
        let scratch = Scratch(self, rows: share, threads: parallelism.threads, from: &carver)
        var first = 0
        while first < x.rows {
            let rows = first..<min(x.rows, first + share)
            multiplyChunk(x.rows(rows, columns: inputs), into: target.fromRow(first), scratch, parallelism)
            first += share
        }
    }

    /// Rows of a chunk: as equal as can be.
    private func chunkRows(_ m: Int) -> Int {
        let most = config.pointee.chunk_rows, count = (m + most - 1) / most
        return roundUp((m + count - 1) / count, toMultipleOf: config.pointee.m_step)
    }

    private func multiplyChunk(_ x: ProductInput, into target: ck_gemm_output, _ scratch: Scratch, _ parallelism: Parallelism) {
        let source = x.source(columns: inputs), config = config.pointee, m = x.rows
        let readsFloats = config.needs & UInt32(ck_gemm_reads_floats) != 0
        let codes = readsFloats ? ck_gemm_activations(floats: x.data, rows: m, stride: inputs) : scratch.activations(rows: m)
        if parallelism.threads == 1 {  // nothing is cut, which matters to products of a microsecond
            withUnsafePointer(to: source) { source in
                if !readsFloats { withUnsafePointer(to: scratch.output) { config.pack_activations(source, 0, m, $0, scratch.memory) } }
            }
            withCStruct { w in
                withUnsafePointer(to: codes) { x in
                    withUnsafePointer(to: target) { config.kernel(w, x, $0, 0, m, 0, panels, scratch.memory) }
                }
            }
            return
        }
        let blocks = readsFloats ? [] : self.blocks(rows: m, parallelism)
        let tiles = self.tiles(rows: m, parallelism)
        withCStruct { w in
            nonisolated(unsafe) let (w, source, codes, target, scratch, config) = (w, source, codes, target, scratch, config)
            parallelism.forEachPart(ofStages: [blocks.count, tiles.count]) { stage, part, thread in
                let memory = scratch.memory + thread * scratch.bytesPerThread
                if stage == 0 {
                    let rows = blocks[part]
                    withUnsafePointer(to: source) { source in
                        withUnsafePointer(to: scratch.output) { config.pack_activations(source, rows.lowerBound, rows.upperBound, $0, memory) }
                    }
                    return
                }
                let (rows, panels) = tiles[part]
                withUnsafePointer(to: codes) { x in
                    withUnsafePointer(to: target) {
                        config.kernel(w, x, $0, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound, memory)
                    }
                }
            }
        }
    }

    /// The rows that threads quantize: those of the way for few rows are not cut.
    private func blocks(rows: Int, _ parallelism: Parallelism) -> [Range<Int>] {
        rows <= config.pointee.few_rows ? [0..<rows] : parallelism.parts(count: rows, multiple: config.pointee.m_step)
    }

    private func tiles(rows: Int, _ parallelism: Parallelism) -> [ProductTile] {
        productTiles(
            rows: rows, step: rows <= config.pointee.few_rows ? nil : config.pointee.m_step, panels: panels,
            prefersRows: config.pointee.needs & UInt32(ck_gemm_prefers_rows) != 0, parallelism: parallelism)
    }

    /// Packed activations of a chunk, and what each thread works in.
    private struct Scratch {
        let bytesPerThread: Int
        private let codes: UnsafeMutablePointer<UInt8>?
        private let scales: UnsafeMutablePointer<Float>?
        private let zeroPoints: UnsafeMutablePointer<Int32>?
        private let threads: UnsafeMutablePointer<UInt8>?

        init(_ weights: PackedWeights, rows: Int, threads count: Int, from carver: inout Carver) {
            var shape = ck_gemm_shape(inputs: weights.inputs, outputs: weights.outputs, group: weights.group)
            let config = weights.config.pointee
            bytesPerThread = roundUp(config.workspace_bytes(&shape, rows), toMultipleOf: 64)
            codes = carver.take(UInt8.self, config.activation_bytes(rows, weights.inputs))
            scales = carver.take(Float.self, rows)
            zeroPoints = carver.take(Int32.self, rows)
            threads = carver.take(UInt8.self, bytesPerThread * count)
        }

        var memory: UnsafeMutableRawPointer { UnsafeMutableRawPointer(threads!) }
        var output: ck_gemm_codes_out { ck_gemm_codes_out(codes: codes!, scales: scales, zero_points: zeroPoints) }

        func activations(rows: Int) -> ck_gemm_activations {
            ck_gemm_activations(rows: rows, stride: 0, codes: codes!, scales: scales, zero_points: zeroPoints)
        }
    }
}

/// A part of a product that a thread takes.
internal typealias ProductTile = (rows: Range<Int>, panels: Range<Int>)

/// The parts of a product: ranges of panels with all rows, or of rows, multiples of `step`, where there are fewer panels than threads. With `prefersRows`
/// rows are taken wherever they suffice for all. Without a step rows are not cut.
internal func productTiles(rows: Int, step: Int?, panels: Int, prefersRows: Bool = false, parallelism: Parallelism) -> [ProductTile] {
    if let step, panels < parallelism.threads || prefersRows && rows >= 2 * step * parallelism.threads {
        return parallelism.parts(count: rows, multiple: step).map { ($0, 0..<panels) }
    }
    return parallelism.parts(count: panels, multiple: 1).map { (0..<rows, $0) }
}

extension ck_gemm_activations {
    /// X as it is, for kernels that read floats.
    fileprivate init(floats: UnsafePointer<Float>, rows: Int, stride: Int) {
        self.init(
            rows: rows, stride: stride, codes: UnsafeRawPointer(floats).assumingMemoryBound(to: UInt8.self), scales: nil, zero_points: nil)
    }
}

extension ck_gemm_output {
    /// The same outputs from row `row` on.
    fileprivate func fromRow(_ row: Int) -> ck_gemm_output {
        var rest = self
        let elementBytes = type == ck_output_f32 || type == ck_output_s32 ? 4 : 1
        rest.data = data + row * stride * elementBytes
        return rest
    }
}
