internal import CKernels

/// A linear layer with N:M sparse weights, Y = X · Wᵀ + b, row-major. With int8 weights, activations are quantized row by row to 0…255 and
/// integer sums are exact.
public struct NMSparseLinear: LinearLayer {
    /// W [outputs, inputs], packed.
    public let weight: NMSparseMatrix
    public let bias: [Float]?
    public var activation: Activation
    /// How X gets its codes where weights are int8: from each row, unless a calibrated scale is given.
    public let inputQuantization: ActivationQuantization

    public var inputs: Int { weight.columns }
    public var outputs: Int { weight.rows }
    public var byteCount: Int { weight.byteCount + biasByteCount }
    public func denseWeight() -> Matrix { weight.dense() }

    /// Prunes the weights of another layer: of each group those of the largest magnitude stay.
    ///
    /// - Throws: the errors of `NMSparseMatrix.init(_:sparsity:values:)`.
    public init(_ other: some LinearLayer, sparsity: NMSparsity = .twoOfFour, values: SparseValues = .float32) throws(NumericsError) {
        try self.init(
            weight: NMSparseMatrix(other.denseWeight(), sparsity: sparsity, values: values), bias: other.bias, activation: other.activation)
    }

    /// A layer of weights that are sparse already.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output, `.outOfRange` for static scales as `SparseLinear` has
    ///   them.
    public init(
        weight: NMSparseMatrix, bias: [Float]? = nil, activation: Activation = .none, inputQuantization: ActivationQuantization = .dynamic
    ) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        try inputQuantization.check(ofSparse: weight.values)
        (self.weight, self.bias, self.activation, self.inputQuantization) = (weight, bias, activation, inputQuantization)
    }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        guard input.rows > 0 else { return }
        let parallelism = parallelism.suited(toMultiplyAdds: input.rows * inputs * outputs / 2)
        output.withUnsafeMutableBufferPointer { y in
            input.withUnsafeBufferPointer { x in
                withBias { bias in
                    let target = ck_sparse_output(
                        data: y.baseAddress!, stride: outputs, layout: ck_row_major, bias: bias, relu: activation == .relu ? 1 : 0)
                    switch weight.storage.config {
                    case .float32(let config): multiply(x.baseAddress!, rows: input.rows, target, config, &workspace, parallelism)
                    case .int8(let config):
                        multiplyCodes(x.baseAddress!, rows: input.rows, target, config.pointee.kernel, &workspace, parallelism)
                    }
                }
            }
        }
    }

    private func multiply(
        _ x: UnsafePointer<Float>, rows: Int, _ y: ck_sparse_output, _ config: UnsafePointer<ck_nm_f32_config>, _ workspace: inout Workspace,
        _ parallelism: Parallelism
    ) {
        let threadBytes = roundUp(config.pointee.workspace_bytes(inputs, outputs), toMultipleOf: 64), kernel = config.pointee.kernel
        nonisolated(unsafe) let scratch = workspace.reserve(byteCount: threadBytes * parallelism.threads)
        var (x, y) = (ck_sparse_input(data: x, rows: rows, stride: inputs, layout: ck_row_major, fixed_scale: 0, fixed_zero_point: 0), y)
        let tiles = tiles(rows: rows, parallelism)
        weight.withFloat32 { weights in
            withUnsafePointer(to: &x) { x in
                withUnsafePointer(to: &y) { y in
                    nonisolated(unsafe) let (weights, x, y) = (weights, x, y)
                    parallelism.forEachPart(ofStages: [tiles.count]) { _, part, thread in
                        let (rows, panels) = tiles[part]
                        kernel(
                            weights, x, y, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound, scratch + thread * threadBytes)
                    }
                }
            }
        }
    }

    /// Codes of X in scratch memory.
    private struct Codes {
        let codes: UnsafeMutablePointer<UInt8>
        let stride: Int
        let scales: UnsafeMutablePointer<Float>
        let zeroPoints: UnsafeMutablePointer<Int32>
    }

    /// Rows whose codes are multiplied while they are in the L2 cache.
    private static let chunkRows = 256

    /// Chunk by chunk of rows, as `QuantizedMatrix` does.
    private func multiplyCodes(
        _ x: UnsafePointer<Float>, rows m: Int, _ y: ck_sparse_output, _ kernel: ck_nm_code_kernel, _ workspace: inout Workspace,
        _ parallelism: Parallelism
    ) {
        let chunks = (m + Self.chunkRows - 1) / Self.chunkRows, share = (m + chunks - 1) / chunks, width = roundUp(inputs, toMultipleOf: ck_nm_group)
        func carve(_ carver: inout Carver) -> (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Int32>?) {
            (carver.take(UInt8.self, share * width), carver.take(Float.self, share), carver.take(Int32.self, share))
        }
        var measure = Carver(nil)
        _ = carve(&measure)
        var carver = Carver(workspace.reserve(byteCount: measure.byteCount))
        let carved = carve(&carver), codes = Codes(codes: carved.0!, stride: width, scales: carved.1!, zeroPoints: carved.2!)
        for first in stride(from: 0, to: m, by: share) {
            var target = y
            target.data += first * y.stride
            multiplyChunk(x + first * inputs, rows: min(m - first, share), codes, target, kernel, parallelism)
        }
    }

    private func multiplyChunk(
        _ x: UnsafePointer<Float>, rows m: Int, _ to: Codes, _ y: ck_sparse_output, _ kernel: ck_nm_code_kernel, _ parallelism: Parallelism
    ) {
        let columns = inputs
        let blocks = parallelism.parts(count: m, multiple: 1), tiles = tiles(rows: m, parallelism)
        nonisolated(unsafe) let (source, to) = (x, to)
        var (activations, y) = (ck_nm_activations(codes: to.codes, stride: to.stride, scales: to.scales, zero_points: to.zeroPoints), y)
        weight.withInt8 { weights in
            withUnsafePointer(to: &activations) { x in
                withUnsafePointer(to: &y) { y in
                    nonisolated(unsafe) let (weights, x, y) = (weights, x, y)
                    parallelism.forEachPart(ofStages: [blocks.count, tiles.count]) { stage, part, _ in
                        if stage == 0 {
                            let block = blocks[part], first = block.lowerBound
                            inputQuantization.quantize(
                                source + first * columns, rows: block.count, columns: columns, into: to.codes + first * to.stride, stride: to.stride,
                                scales: to.scales + first, zeroPoints: to.zeroPoints + first)
                            return
                        }
                        let (rows, panels) = tiles[part]
                        kernel(weights, x, y, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound)
                    }
                }
            }
        }
    }

    private func tiles(rows: Int, _ parallelism: Parallelism) -> [ProductTile] {
        let step = weight.storage.config.panelOutputs
        return productTiles(rows: rows, step: 1, panels: roundUp(outputs, toMultipleOf: step) / step, parallelism: parallelism)
    }
}

private typealias ck_nm_code_kernel =
    @convention(c) (UnsafePointer<ck_nm_s8>, UnsafePointer<ck_nm_activations>, UnsafePointer<ck_sparse_output>, Int, Int, Int, Int) -> Void

extension NMSparseLinear: CodableLayer {
    public static let kind = "nOfM"

    public func encode(into archive: inout some TensorArchiveWriter) {
        archive.put(shapeOf: self)
        weight.encode(into: &archive)
        archive.put(inputQuantization)
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        let fields = try archive.linearFields()
        try self.init(
            weight: NMSparseMatrix(from: archive, rows: fields.outputs, columns: fields.inputs), bias: fields.bias,
            activation: fields.activation, inputQuantization: archive.activationQuantization())
    }
}
