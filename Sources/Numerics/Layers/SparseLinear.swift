internal import CKernels

/// A linear layer with sparse weights, Y = X · Wᵀ + b.
public struct SparseLinear: LinearLayer {
    /// W [outputs, inputs], packed.
    public let weight: BlockSparseMatrix
    public let bias: [Float]?
    public var activation: Activation

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
    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output.
    public init(weight: BlockSparseMatrix, bias: [Float]? = nil, activation: Activation = .none) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        self.weight = weight
        self.bias = bias
        self.activation = activation
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
        let relu: Int32 = activation == .relu ? 1 : 0
        output.withUnsafeMutableBufferPointer { y in
            input.withUnsafeBufferPointer { x in
                withBias { bias in
                    let source = ck_sparse_input(data: x.baseAddress!, rows: m, stride: inputStride, layout: inputLayout.inC)
                    let target = ck_sparse_output(
                        data: y.baseAddress!, stride: outputStride, layout: outputLayout.inC, bias: bias, relu: relu)
                    if m == 1 && weight.values == .float32 {
                        multiplyVector(source, target, parallelism)
                    } else {
                        multiplyTiles(source, target, &workspace, parallelism)
                    }
                }
            }
        }
    }

    /// The one row of `x`.
    internal func multiplyVector(_ x: ck_sparse_input, _ y: ck_sparse_output, _ parallelism: Parallelism) {
        // Outputs of strips without blocks, which the kernel does not visit.
        for n in 0..<outputs {
            let start = y.bias?[n] ?? 0
            y.data[n] = activation == .relu ? max(start, 0) : start
        }
        let kernel = ck_active_kernels().pointee.spmv_f32_f32_block
        weight.withStructure { structure in
            nonisolated(unsafe) let weights = ck_sparse_f32(structure: structure, values: weight.storage.floats.baseAddress)
            nonisolated(unsafe) let (x, y) = (x, y)
            // With one slice the strips are independent; with more, one thread walks through all.
            let threads = structure.slices == 1 ? parallelism : .serial
            threads.forEachRange(count: max(1, weight.storage.strips.count)) { strips in
                withUnsafePointer(to: weights) { w in
                    withUnsafePointer(to: y) { y in kernel(w, x.data, y, strips.lowerBound, strips.upperBound) }
                }
            }
        }
    }

    private func multiplyTiles(
        _ x: ck_sparse_input, _ y: ck_sparse_output, _ workspace: inout Workspace, _ parallelism: Parallelism
    ) {
        let threadBytes = tileScratchBytes
        nonisolated(unsafe) let scratch = workspace.reserve(byteCount: threadBytes * parallelism.threads)
        nonisolated(unsafe) let (x, y) = (x, y)
        let parts = parallelism.ranges(count: x.rows, multiple: tileRows)
        parallelism.forEachRange(count: parts.count) { threads in
            for thread in threads { multiplyTile(x, y, rows: parts[thread], scratch: scratch + thread * threadBytes) }
        }
    }

    /// Rows that the kernel takes at a time.
    internal var tileRows: Int { ck_sparse_tile(weight.shape.rows, weight.values == .int8 ? 1 : 0) }

    /// Bytes of scratch memory for `multiplyTile`, a multiple of 64.
    internal var tileScratchBytes: Int {
        weight.withStructure { structure in
            withUnsafePointer(to: structure) { roundUp(ck_sparse_workspace_bytes($0, weight.values == .int8 ? 1 : 0), toMultipleOf: 64) }
        }
    }

    /// Rows `rows` of `x`, on the calling thread.
    internal func multiplyTile(_ x: ck_sparse_input, _ y: ck_sparse_output, rows: Range<Int>, scratch: UnsafeMutableRawPointer) {
        let kernels = ck_active_kernels().pointee, storage = weight.storage
        var (x, y) = (x, y)
        weight.withStructure { structure in
            switch weight.values {
            case .int8:
                var weights = ck_sparse_s8(
                    structure: structure, values: storage.codes.baseAddress, scales: storage.scales.baseAddress, sums: storage.sums.baseAddress)
                kernels.spmm_f32_u8_s8block(&weights, &x, &y, rows.lowerBound, rows.upperBound, scratch)
            case .float32:
                var weights = ck_sparse_f32(structure: structure, values: storage.floats.baseAddress)
                kernels.spmm_f32_f32_block(&weights, &x, &y, rows.lowerBound, rows.upperBound, scratch)
            }
        }
    }
}

extension ActivationLayout {
    internal var inC: ck_layout { self == .rowMajor ? ck_row_major : ck_feature_major }
}
