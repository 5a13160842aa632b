internal import CKernels

/// A linear layer with sparse weights, Y = X · Wᵀ + b.
public struct SparseLinear: LinearLayer {
    /// W [outputs, inputs], packed.
    public let weight: BlockSparseMatrix
    public let bias: [Float]?
    public var activation: Activation
    /// How X gets its codes where weights are int8: from each row, unless a calibrated scale is given.
    public let inputQuantization: ActivationQuantization

    public var inputs: Int { weight.columns }
    public var outputs: Int { weight.rows }
    public var byteCount: Int { weight.byteCount + biasByteCount }
    public func denseWeight() -> Matrix { weight.dense() }

    /// Prunes the weights of another layer: the share `sparsity` of all blocks, those with the smallest norms.
    ///
    /// - Throws: the errors of `BlockSparseMatrix.init(_:sparsity:shape:values:expectedRows:)`.
    public init(
        _ other: some LinearLayer, sparsity: Double, shape: BlockShape = .single, values: SparseValues = .float32, expectedRows: Int = 64
    ) throws(NumericsError) {
        try self.init(
            weight: BlockSparseMatrix(other.denseWeight(), sparsity: sparsity, shape: shape, values: values, expectedRows: expectedRows),
            bias: other.bias, activation: other.activation)
    }

    /// A layer of weights that are sparse already.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output, `.outOfRange` for a static scale that is not positive
    ///   and finite, a zero point outside 0…255, and a static scale of float32 weights, which would have no effect.
    public init(
        weight: BlockSparseMatrix, bias: [Float]? = nil, activation: Activation = .none, inputQuantization: ActivationQuantization = .dynamic
    ) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        try inputQuantization.check(ofSparse: weight.values)
        (self.weight, self.bias, self.activation, self.inputQuantization) = (weight, bias, activation, inputQuantization)
    }

    public var layoutSupport: LayoutSupport { .prefersFeatureMajor }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        apply(input, layout: .rowMajor, into: &output, layout: .rowMajor, workspace: &workspace, parallelism: parallelism)
    }

    /// The same product with features along the rows of the matrices: X [inputs, M] → Y [outputs, M]. Consecutive sparse layers can
    /// keep this layout and save two transposes each, as `Sequential` does by itself.
    ///
    /// - Precondition: `input` is [inputs, M], `output` [outputs, M].
    public func applyFeatureMajor(
        _ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism = .serial
    ) {
        apply(input, layout: .featureMajor, into: &output, layout: .featureMajor, workspace: &workspace, parallelism: parallelism)
    }

    public func apply(
        _ input: Matrix, layout inputLayout: ActivationLayout, into output: inout Matrix, layout outputLayout: ActivationLayout,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        requireShapes(input, inputLayout, output, outputLayout)
        let m = input.batch(inputLayout), inputStride = input.columns, outputStride = output.columns
        guard m > 0 else { return }
        let parallelism = parallelism.suited(toMultiplyAdds: m * weight.storedWeightCount)
        let relu: Int32 = activation == .relu ? 1 : 0
        output.withUnsafeMutableBufferPointer { y in
            input.withUnsafeBufferPointer { x in
                withBias { bias in
                    let source = ck_sparse_input(
                        data: x.baseAddress!, rows: m, stride: inputStride, layout: inputLayout.inC, fixed_scale: 0, fixed_zero_point: 0)
                    let target = ck_sparse_output(
                        data: y.baseAddress!, stride: outputStride, layout: outputLayout.inC, bias: bias, relu: relu)
                    if m <= fewRows {
                        multiplyRows(
                            source, target, scratch: workspace.reserve(byteCount: rowsScratchBytes(rows: m, parallelism)), parallelism)
                    } else {
                        multiplyTiles(source, target, &workspace, parallelism)
                    }
                }
            }
        }
    }

    /// Threads take tiles of rows, and ranges of the parts of the matrix where there are too few tiles.
    private func multiplyTiles(
        _ x: ck_sparse_input, _ y: ck_sparse_output, _ workspace: inout Workspace, _ parallelism: Parallelism
    ) {
        let threadBytes = tileScratchBytes
        nonisolated(unsafe) let scratch = workspace.reserve(byteCount: threadBytes * parallelism.threads)
        let tiles = parallelism.parts(count: x.rows, multiple: tileRows)
        let cuts = tiles.count >= 2 * parallelism.threads ? 1 : min(weight.parts.count, parallelism.threads)
        let parts = Parallelism(threads: cuts).ranges(count: weight.parts.count, multiple: 1)
        let starts = weight.firstOutputs
        nonisolated(unsafe) let (x, y) = (x, y)
        parallelism.forEachPart(ofStages: [tiles.count * parts.count]) { _, piece, thread in
            let parts = parts[piece / tiles.count]
            withUnsafePointer(to: y) { y in
                multiply(
                    parts, rows: tiles[piece % tiles.count], x, ck_sparse_output_from(y, starts[parts.lowerBound]),
                    scratch + thread * threadBytes)
            }
        }
    }

    /// Rows that the kernel takes at a time.
    internal var tileRows: Int { weight.parts[0].tileRows(blockRows: weight.shape.rows) }

    /// Bytes of scratch memory for `multiplyTile`, a multiple of 64.
    internal var tileScratchBytes: Int {
        roundUp(weight.parts[0].workspaceBytes(inputs: inputs, shape: weight.shape), toMultipleOf: 64)
    }

    /// All outputs of rows `rows` of `x`, on the calling thread.
    internal func multiplyTile(_ x: ck_sparse_input, _ y: ck_sparse_output, rows: Range<Int>, scratch: UnsafeMutableRawPointer) {
        multiply(0..<weight.parts.count, rows: rows, x, y, scratch)
    }

    private func multiply(
        _ parts: Range<Int>, rows: Range<Int>, _ x: ck_sparse_input, _ y: ck_sparse_output, _ scratch: UnsafeMutableRawPointer
    ) {
        var (x, y) = (x, y)
        if case .fixed(let scale, let zeroPoint) = inputQuantization {
            (x.fixed_scale, x.fixed_zero_point) = (scale, Int32(zeroPoint))
        } else {
            x.fixed_scale = 0
        }
        switch weight.parts[0].config {
        case .float32(let config):
            let weights = weight.parts[parts].map(weight.float32Weights)
            config.pointee.kernel(weights, weights.count, &x, &y, rows.lowerBound, rows.upperBound, scratch)
        case .int8(let config):
            let weights = weight.parts[parts].map(weight.int8Weights)
            config.pointee.kernel(weights, weights.count, &x, &y, rows.lowerBound, rows.upperBound, scratch)
        }
    }
}

extension ActivationLayout {
    internal var inC: ck_layout { self == .rowMajor ? ck_row_major : ck_feature_major }
}

extension ActivationQuantization {
    /// - Throws: `NumericsError.outOfRange` for static scales that are none, or have no effect on such weights.
    internal func check(ofSparse values: SparseValues) throws(NumericsError) {
        guard self == .dynamic || values == .int8 else {
            throw .outOfRange(what: "static scale of activations", allowed: "int8 weights", found: "\(values.rawValue) ones")
        }
        try check(highest: 255)
    }

    /// Codes 0…255 of X [rows, columns], zeros behind them up to `stride`, with the scale and zero point of each row.
    internal func quantize(
        _ x: UnsafePointer<Float>, rows: Int, columns: Int, into codes: UnsafeMutablePointer<UInt8>, stride: Int,
        scales: UnsafeMutablePointer<Float>, zeroPoints: UnsafeMutablePointer<Int32>
    ) {
        let kernels = ck_active_kernels().pointee
        guard case .fixed(let scale, let zeroPoint) = self else {
            return kernels.quantize_rows_u8_f32(x, rows, columns, columns, 255, codes, stride, scales, zeroPoints)
        }
        for row in 0..<rows {
            kernels.quantize_u8_f32(x + row * columns, columns, 1 / scale, Int32(zeroPoint), 0, 255, codes + row * stride)
            (codes + row * stride + columns).update(repeating: 0, count: stride - columns)
        }
        scales.update(repeating: scale, count: rows)
        zeroPoints.update(repeating: Int32(zeroPoint), count: rows)
    }
}

extension SparseLinear: CodableLayer {
    public static let kind = "sparse"

    public func encode(into archive: inout some TensorArchiveWriter) {
        archive.put(shapeOf: self)
        weight.encode(into: &archive)
        archive.put(inputQuantization)
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        let fields = try archive.linearFields()
        try self.init(
            weight: BlockSparseMatrix(from: archive, rows: fields.outputs, columns: fields.inputs), bias: fields.bias,
            activation: fields.activation, inputQuantization: archive.activationQuantization())
    }
}
