internal import CKernels

/// How activations get their codes.
public enum ActivationQuantization: Sendable, Hashable {
    /// Scale and zero point from the range of each row.
    case dynamic
    /// The same for every row: code = clamp(rint(x / scale) + zeroPoint).
    case fixed(scale: Float, zeroPoint: Int)
}

/// What a product writes besides float32: codes = clamp(rint(y / scale) + zeroPoint).
package struct OutputQuantization: Sendable {
    package var scale: Float
    package var zeroPoint: Int32
    package var isSigned: Bool

    package init(scale: Float, zeroPoint: Int32, isSigned: Bool) {
        (self.scale, self.zeroPoint, self.isSigned) = (scale, zeroPoint, isSigned)
    }
}

extension QuantizedMatrix {
    /// Y[M, N] = relu(X[M, K] · Wᵀ + bias): quantizes X, multiplies integers, and writes float32. `x` and `y` are row-major without
    /// gaps. Threads take ranges of outputs, or of rows where there are too few outputs.
    package func multiply(
        _ x: UnsafePointer<Float>, rows m: Int, into y: UnsafeMutableRawPointer, bias: UnsafePointer<Float>?, relu: Bool,
        activations: ActivationQuantization = .dynamic, output: OutputQuantization? = nil, workspace: inout Workspace,
        parallelism: Parallelism
    ) {
        guard m > 0 else { return }
        let parallelism = parallelism.suited(toMultiplyAdds: m * rows * columns)
        let target = ck_gemm_output(
            type: output.map { $0.isSigned ? ck_output_s8 : ck_output_u8 } ?? ck_output_f32, data: y, stride: rows, bias: bias,
            relu: relu ? 1 : 0, inverse_scale: output.map { 1 / $0.scale } ?? 0, zero_point: output?.zeroPoint ?? 0)
        if scheme.activations == .sign {
            multiplySigns(x, rows: m, into: target, activations: activations, workspace: &workspace, parallelism: parallelism)
        } else {
            multiplyCodes(x, rows: m, into: target, activations: activations, workspace: &workspace, parallelism: parallelism)
        }
    }

    /// Rows of a chunk. Products of `m` rows go chunk by chunk, so that codes are multiplied while they are in the L2 cache and a large batch needs
    /// no more memory than a small one.
    internal static func chunkRows(_ m: Int) -> Int {
        let count = (m + ck_row_chunk - 1) / ck_row_chunk
        return roundUp((m + count - 1) / count, toMultipleOf: ck_row_block)
    }

    private func multiplyCodes(
        _ x: UnsafePointer<Float>, rows m: Int, into target: ck_gemm_output, activations: ActivationQuantization,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        let share = min(m, Self.chunkRows(m)), threadBytes = ck_gemm_workspace_bytes(columns)
        var measure = Carver(nil)
        _ = QuantizedActivations(rows: share, columns: columns, from: &measure)
        _ = measure.take(UInt8.self, threadBytes * parallelism.threads)
        var carver = Carver(workspace.reserve(byteCount: measure.byteCount))
        var codes = QuantizedActivations(rows: share, columns: columns, from: &carver)
        let scratch = carver.take(UInt8.self, threadBytes * parallelism.threads)!
        var first = 0
        while first < m {
            codes.rows = min(m - first, share)
            multiplyChunk(
                x + first * columns, codes, into: target.fromRow(first), activations: activations, scratch: (scratch, threadBytes),
                parallelism: parallelism)
            first += share
        }
    }

    private func multiplyChunk(
        _ x: UnsafePointer<Float>, _ codes: QuantizedActivations, into target: ck_gemm_output, activations: ActivationQuantization,
        scratch: (memory: UnsafeMutablePointer<UInt8>, bytesPerThread: Int), parallelism: Parallelism
    ) {
        let kernel = Self.kernel(scheme), highest = scheme.activations.highest, m = codes.rows
        let panels = roundUp(rows, toMultipleOf: ck_panel) / ck_panel
        if parallelism.threads == 1 {  // nothing is cut, which matters to products of a microsecond
            codes.fill(0..<m, from: x, activations: activations, highest: highest)
            codes.withCStruct { x in
                withCStruct { w in withUnsafePointer(to: target) { kernel(w, x, $0, 0, m, 0, panels, scratch.memory) } }
            }
            return
        }
        let blocks = parallelism.parts(count: m, multiple: ck_row_block)
        let tiles = Self.tiles(rows: m, panels: panels, preferringRows: scheme.bits == 1, parallelism: parallelism)
        codes.withCStruct { codesOfRows in
            withCStruct { w in
                nonisolated(unsafe) let (w, source, codesOfRows, target, codes, scratch) = (w, x, codesOfRows, target, codes, scratch)
                parallelism.forEachPart(ofStages: [blocks.count, tiles.count]) { stage, part, thread in
                    if stage == 0 {
                        codes.fill(blocks[part], from: source, activations: activations, highest: highest)
                        return
                    }
                    let (rows, panels) = tiles[part]
                    withUnsafePointer(to: target) { y in
                        kernel(
                            w, codesOfRows, y, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound,
                            scratch.memory + thread * scratch.bytesPerThread)
                    }
                }
            }
        }
    }

    /// The same with signs of X: bits in scratch memory, whose scales are the mean magnitudes of the rows or the fixed one.
    private func multiplySigns(
        _ x: UnsafePointer<Float>, rows m: Int, into target: ck_gemm_output, activations: ActivationQuantization,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        let share = min(m, Self.chunkRows(m)), threadBytes = ck_gemm_workspace_bytes(columns)
        let rowBytes = roundUp(columns, toMultipleOf: ck_fold) / 8
        func carve(_ carver: inout Carver) -> (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Float>?, UnsafeMutablePointer<UInt8>?) {
            (carver.take(UInt8.self, share * rowBytes), carver.take(Float.self, share), carver.take(UInt8.self, threadBytes * parallelism.threads))
        }
        var measure = Carver(nil)
        _ = carve(&measure)
        var carver = Carver(workspace.reserve(byteCount: measure.byteCount))
        let carved = carve(&carver)
        for first in stride(from: 0, to: m, by: share) {
            multiplySignsOfChunk(
                x + first * columns, rows: min(m - first, share), (carved.0!, rowBytes, carved.1!), into: target.fromRow(first),
                activations: activations, scratch: (carved.2!, threadBytes), parallelism: parallelism)
        }
    }

    private func multiplySignsOfChunk(
        _ x: UnsafePointer<Float>, rows m: Int,
        _ signs: (bits: UnsafeMutablePointer<UInt8>, rowBytes: Int, scales: UnsafeMutablePointer<Float>), into target: ck_gemm_output,
        activations: ActivationQuantization, scratch: (memory: UnsafeMutablePointer<UInt8>, bytesPerThread: Int), parallelism: Parallelism
    ) {
        let kernels = ck_active_kernels().pointee, columns = columns
        let (binarize, kernel) = (kernels.binarize_rows_u1_f32, kernels.gemm_u1_s1)
        let blocks = parallelism.parts(count: m, multiple: ck_row_block)
        let tiles = Self.tiles(
            rows: m, panels: roundUp(rows, toMultipleOf: ck_panel) / ck_panel, preferringRows: true, parallelism: parallelism)
        let codes = ck_bit_activations(rows: m, bits: signs.bits, scales: signs.scales)
        withCStruct { w in
            nonisolated(unsafe) let (x, w, codes, signs, target, scratch) = (x, w, codes, signs, target, scratch)
            parallelism.forEachPart(ofStages: [blocks.count, tiles.count]) { stage, part, thread in
                if stage == 0 {
                    let range = blocks[part], first = range.lowerBound
                    binarize(
                        x + first * columns, range.count, columns, columns, signs.bits + first * signs.rowBytes, signs.scales + first)
                    if case .fixed(let scale, _) = activations { (signs.scales + first).update(repeating: scale, count: range.count) }
                    return
                }
                let (rows, panels) = tiles[part]
                withUnsafePointer(to: codes) { x in
                    withUnsafePointer(to: target) { y in
                        kernel(
                            w, x, y, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound,
                            scratch.memory + thread * scratch.bytesPerThread)
                    }
                }
            }
        }
    }

    private static func kernel(_ scheme: QuantizationScheme) -> ck_fn_gemm {
        let kernels = ck_active_kernels().pointee
        return switch (scheme.bits, scheme.activations) {
        case (4, _): kernels.gemm_u8_s4
        case (2, _): kernels.gemm_u8_s2
        case (1, _): kernels.gemm_u8_s1
        case (_, .uint7): kernels.gemm_u7_s8
        default: kernels.gemm_u8_s8
        }
    }

    /// The parts of a product that threads take: ranges of panels with all rows, or of rows where there are fewer panels than threads.
    /// Kernels of 1-bit weights make tables of the rows for each range of panels, so `preferringRows` takes rows wherever they suffice for all.
    package static func tiles(
        rows: Int, panels: Int, preferringRows: Bool = false, parallelism: Parallelism
    ) -> [(rows: Range<Int>, panels: Range<Int>)] {
        let byRows = panels < parallelism.threads || (preferringRows && rows >= 2 * ck_row_block * parallelism.threads)
        if byRows && rows > ck_few_rows {
            return parallelism.parts(count: rows, multiple: ck_row_block).map { ($0, 0..<panels) }
        }
        return parallelism.parts(count: panels, multiple: 1).map { (0..<rows, $0) }
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

internal typealias ck_fn_gemm =
    @convention(c) (
        UnsafePointer<ck_gemm_weights>, UnsafePointer<ck_gemm_activations>, UnsafePointer<ck_gemm_output>, Int, Int, Int, Int,
        UnsafeMutableRawPointer
    ) -> Void

/// Codes, scales and zero points of M rows in scratch memory, in the layout that the gemm kernels read.
internal struct QuantizedActivations {
    /// At most as many as there is memory for.
    var rows: Int
    let columns: Int
    let paddedColumns: Int
    private let codes: UnsafeMutablePointer<UInt8>?
    private let scales: UnsafeMutablePointer<Float>?
    private let zeroPoints: UnsafeMutablePointer<Int32>?
    // Row-major codes of the 8 rows of each block, before they are interleaved.
    private let rowMajor: UnsafeMutablePointer<UInt8>?

    init(rows: Int, columns: Int, from carver: inout Carver) {
        self.rows = rows
        self.columns = columns
        paddedColumns = roundUp(columns, toMultipleOf: ck_fold)
        codes = carver.take(UInt8.self, ck_gemm_activation_bytes(rows, columns))
        scales = carver.take(Float.self, rows)
        zeroPoints = carver.take(Int32.self, rows)
        rowMajor = carver.take(UInt8.self, rows <= ck_few_rows ? 0 : ck_gemm_activation_bytes(rows, columns))
    }

    /// Quantizes a range of rows that begins at a multiple of 8.
    func fill(_ range: Range<Int>, from x: UnsafePointer<Float>, activations: ActivationQuantization, highest: Int32) {
        for first in stride(from: range.lowerBound, to: range.upperBound, by: ck_row_block) {
            fillBlock(first..<min(first + ck_row_block, range.upperBound), x, activations, highest)
        }
    }

    private func fillBlock(_ block: Range<Int>, _ x: UnsafePointer<Float>, _ activations: ActivationQuantization, _ highest: Int32) {
        let kernels = ck_active_kernels().pointee
        let first = block.lowerBound, isInterleaved = rows > ck_few_rows
        let target = (isInterleaved ? rowMajor! : codes!) + first * paddedColumns
        switch activations {
        case .dynamic:
            kernels.quantize_rows_u8_f32(
                x + first * columns, block.count, columns, columns, highest, target, paddedColumns, scales! + first, zeroPoints! + first)
        case .fixed(let scale, let zeroPoint):
            for (index, row) in block.enumerated() {
                let codes = target + index * paddedColumns
                kernels.quantize_u8_f32(x + row * columns, columns, 1 / scale, Int32(zeroPoint), 0, highest, codes)
                (codes + columns).update(repeating: 0, count: paddedColumns - columns)
                scales![row] = scale
                zeroPoints![row] = Int32(zeroPoint)
            }
        }
        if isInterleaved {
            kernels.interleave_u8(target, block.count, paddedColumns, paddedColumns, codes! + first * paddedColumns)
        }
    }

    func withCStruct<Result>(_ body: (UnsafePointer<ck_gemm_activations>) -> Result) -> Result {
        var activations = ck_gemm_activations(rows: rows, codes: codes!, scales: scales!, zero_points: zeroPoints!)
        return withUnsafePointer(to: &activations, body)
    }
}
