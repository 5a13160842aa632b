internal import CKernels

/// Consecutive sparse layers, computed tile by tile: some rows of activations go through all layers before the next ones start.
/// Between the layers a tile [features, rows] stays in the cache and is what the kernel reads as it stands: nothing is transposed
/// or copied. Each output is summed as by the layer alone, so that the bits are the same.
internal struct SparseChain: Layer {
    /// At least one.
    let layers: [SparseLinear]

    var inputCount: Int? { layers.first?.inputs }
    func outputCount(inputs: Int) -> Int { layers.last?.outputs ?? inputs }
    var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }
    var layoutSupport: LayoutSupport { .prefersFeatureMajor }

    func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        apply(input, layout: .rowMajor, into: &output, layout: .rowMajor, workspace: &workspace, parallelism: parallelism)
    }

    func apply(
        _ input: Matrix, layout inputLayout: ActivationLayout, into output: inout Matrix, layout outputLayout: ActivationLayout,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        requireShapes(input, inputLayout, output, outputLayout)
        let m = input.batch(inputLayout), inputStride = input.columns, outputStride = output.columns
        guard m > 0 else { return }
        let parallelism = parallelism.suited(toMultiplyAdds: m * layers.reduce(0) { $0 + $1.weight.storedWeightCount })
        output.withUnsafeMutableBufferPointer { y in
            input.withUnsafeBufferPointer { x in
                multiply(
                    ck_sparse_input(data: x.baseAddress!, rows: m, stride: inputStride, layout: inputLayout.inC, fixed_scale: 0, fixed_zero_point: 0),
                    ck_sparse_output(data: y.baseAddress!, stride: outputStride, layout: outputLayout.inC, bias: nil, relu: 0), &workspace,
                    parallelism)
            }
        }
    }

    private func multiply(_ x: ck_sparse_input, _ y: ck_sparse_output, _ workspace: inout Workspace, _ parallelism: Parallelism) {
        // Hidden rows lie a multiple of 8 apart.
        let tile = roundUp(layers.reduce(0) { max($0, $1.tileRows) }, toMultipleOf: 8)
        let widest = layers.dropLast().reduce(0) { max($0, $1.outputs) }
        let kernelBytes = layers.reduce(0) {
            max($0, x.rows <= $1.fewRows ? $1.rowsScratchBytes(rows: x.rows, parallelism) : $1.tileScratchBytes)
        }
        let hiddenBytes = roundUp(widest * tile * MemoryLayout<Float>.stride, toMultipleOf: 64), threadBytes = kernelBytes + 2 * hiddenBytes
        nonisolated(unsafe) let memory = workspace.reserve(byteCount: threadBytes * parallelism.threads)
        nonisolated(unsafe) let (x, y) = (x, y)
        let parts = parallelism.ranges(count: x.rows, multiple: tile)
        parallelism.forEachRange(count: parts.count) { threads in
            for thread in threads {
                let scratch = memory + thread * threadBytes
                let hidden = (0..<2).map { side in
                    (scratch + kernelBytes + side * hiddenBytes).bindMemory(to: Float.self, capacity: widest * tile)
                }
                for first in stride(from: parts[thread].lowerBound, to: parts[thread].upperBound, by: tile) {
                    multiplyTile(x, y, first: first, count: min(tile, parts[thread].upperBound - first), hidden, scratch, parallelism)
                }
            }
        }
    }

    /// Rows first ..< first + count through all layers, by way of the two buffers `hidden`.
    private func multiplyTile(
        _ x: ck_sparse_input, _ y: ck_sparse_output, first: Int, count: Int, _ hidden: [UnsafeMutablePointer<Float>],
        _ scratch: UnsafeMutableRawPointer, _ parallelism: Parallelism
    ) {
        var source = x
        source.data += x.layout == ck_row_major ? first * x.stride : first
        source.rows = count
        for (index, layer) in layers.enumerated() {
            let isLast = index == layers.count - 1
            var target = y
            if isLast {
                target.data += y.layout == ck_row_major ? first * y.stride : first
            } else {
                // Few rows, which a layer takes one by one, have no gaps. The last tile of many rows may be few, too.
                let areRows = x.rows <= layers[index + 1].fewRows
                target = ck_sparse_output(
                    data: hidden[index % 2], stride: areRows ? layer.outputs : x.rows == 1 ? 1 : roundUp(count, toMultipleOf: 8),
                    layout: areRows ? ck_row_major : ck_feature_major, bias: nil, relu: 0)
            }
            target.relu = layer.activation == .relu ? 1 : 0
            layer.withBias { bias in
                target.bias = bias
                if x.rows <= layer.fewRows {
                    layer.multiplyRows(source, target, scratch: scratch, parallelism)
                } else {
                    layer.multiplyTile(source, target, rows: 0..<count, scratch: scratch)
                }
            }
            source = ck_sparse_input(
                data: target.data, rows: count, stride: target.stride, layout: target.layout, fixed_scale: 0, fixed_zero_point: 0)
        }
    }
}
