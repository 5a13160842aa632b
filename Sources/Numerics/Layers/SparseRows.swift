internal import CKernels

/// Products of few rows by a sparse layer: one by one through the kernel for one row. That for several rows fills a tile whatever the number of rows, which
/// takes the time of several rows with int8 weights and many inputs, which it quantizes and interleaves for all of the tile.
extension SparseLinear {
    /// Up to so many rows, whatever their layout. None with few inputs and many outputs, where the end of each output of a row takes longer than a tile.
    internal var fewRows: Int {
        weight.parts[0].fewRows(inputs: inputs, outputs: outputs, shape: weight.shape, storedWeights: weight.storedWeightCount)
    }

    /// Bytes of scratch memory for `multiplyRows`, a multiple of 64.
    internal func rowsScratchBytes(rows: Int, _ parallelism: Parallelism) -> Int {
        rowMajorBytes(rows) + codeBytes * rows + affineBytes + vectorThreadBytes * parallelism.threads
    }

    /// For X and Y as rows, where they are not; one row lies side by side in either layout.
    private func rowMajorBytes(_ rows: Int) -> Int {
        rows == 1 ? 0 : roundUp(rows * (inputs + outputs) * MemoryLayout<Float>.stride, toMultipleOf: 64)
    }

    private var codeBytes: Int { weight.values == .float32 ? 0 : roundUp(inputs, toMultipleOf: 64) }

    /// For the scales of rows, and half of it further their zero points.
    private var affineBytes: Int {
        weight.values == .float32 ? 0 : 2 * ck_sparse_most_few_rows * MemoryLayout<Float>.stride
    }

    private var vectorThreadBytes: Int { roundUp(weight.parts[0].vectorWorkspaceBytes(inputs: inputs), toMultipleOf: 64) }

    /// All rows of `x`, which has no gaps between rows if it is row-major.
    internal func multiplyRows(_ x: ck_sparse_input, _ y: ck_sparse_output, scratch: UnsafeMutableRawPointer, _ parallelism: Parallelism) {
        let rows = x.rows, copies = scratch.assumingMemoryBound(to: Float.self)
        var (source, target) = (x, y)
        if rows > 1 && x.layout == ck_feature_major {
            copy(x.data, rowStride: 1, step: x.stride, to: copies, rowStride: inputs, step: 1, rows: rows, count: inputs)
            (source.data, source.stride) = (UnsafePointer(copies), inputs)
        }
        if rows > 1 && y.layout == ck_feature_major { (target.data, target.stride) = (copies + rows * inputs, outputs) }
        target.layout = ck_row_major
        multiplyContiguousRows(source, target, scratch: scratch + rowMajorBytes(rows), parallelism)
        if target.data != y.data {
            copy(target.data, rowStride: outputs, step: 1, to: y.data, rowStride: 1, step: y.stride, rows: rows, count: outputs)
        }
    }

    /// int8 weights: rows are quantized once, for all parts of the matrix.
    private func multiplyContiguousRows(
        _ x: ck_sparse_input, _ y: ck_sparse_output, scratch: UnsafeMutableRawPointer, _ parallelism: Parallelism
    ) {
        let starts = weight.firstOutputs, rows = x.rows, inputs = inputs, codeBytes = codeBytes, threadBytes = vectorThreadBytes
        let affines = scratch + codeBytes * rows
        nonisolated(unsafe) let codes = scratch.assumingMemoryBound(to: UInt8.self), scales = affines.assumingMemoryBound(to: Float.self)
        nonisolated(unsafe) let zeroPoints = (affines + affineBytes / 2).assumingMemoryBound(to: Int32.self)
        if weight.values == .int8 {
            inputQuantization.quantize(
                x.data, rows: rows, columns: inputs, into: codes, stride: codeBytes, scales: scales, zeroPoints: zeroPoints)
        }
        nonisolated(unsafe) let (x, y, scratch) = (x.data, y, affines + affineBytes)
        parallelism.forEachPart(ofStages: [weight.parts.count]) { _, part, thread in
            var target = withUnsafePointer(to: y) { ck_sparse_output_from($0, starts[part]) }
            for row in 0..<rows {
                switch weight.parts[part].config {
                case .float32(let config):
                    var weights = weight.float32Weights(weight.parts[part])
                    config.pointee.vector_kernel(&weights, x + row * inputs, &target)
                case .int8(let config):
                    var weights = weight.int8Weights(weight.parts[part])
                    config.pointee.vector_kernel(
                        &weights, codes + row * codeBytes, scales[row], zeroPoints[row], &target, scratch + thread * threadBytes)
                }
                target.data += target.stride
            }
        }
    }

    private func copy(
        _ from: UnsafePointer<Float>, rowStride fromRow: Int, step fromStep: Int, to: UnsafeMutablePointer<Float>, rowStride toRow: Int,
        step toStep: Int, rows: Int, count: Int
    ) {
        for row in 0..<rows {
            let (from, to) = (from + row * fromRow, to + row * toRow)
            for index in 0..<count { to[index &* toStep] = from[index &* fromStep] }
        }
    }
}
