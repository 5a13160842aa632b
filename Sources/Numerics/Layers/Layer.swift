/// What is applied to the outputs of a layer, in the same pass over memory that writes them.
public enum Activation: Sendable, Hashable {
    case none
    /// max(y, 0)
    case relu
}

/// A step of a network: X[M, inputs] → Y[M, outputs], M rows at a time. Layers are values over immutable weights, so one layer
/// may run on several threads at once, each with its own workspace.
public protocol Layer: Sendable {
    /// Columns of X; nil where any number will do.
    var inputCount: Int? { get }
    /// Columns of Y for X of `inputs` columns.
    func outputCount(inputs: Int) -> Int
    /// Bytes really held by the weights.
    var byteCount: Int { get }

    /// Computes the outputs of `input` into `output` [M, outputCount], scratch memory from `workspace`.
    ///
    /// - Precondition: `input` has `inputCount` columns, `output` is [M, outputCount].
    func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism)

    /// The layouts that `apply(_:layout:into:layout:workspace:parallelism:)` reads and writes without a transpose; row-major unless
    /// a layer says otherwise. `Sequential` chooses the layouts between its layers by it.
    var layoutSupport: LayoutSupport { get }

    /// The same outputs from and to activations in the given layouts: `input` is [M, inputs] or [inputs, M], `output` [M, outputs] or
    /// [outputs, M]. Unless a layer has an implementation of its own, what is not row-major is transposed.
    ///
    /// - Precondition: `input` has `inputCount` features, `output` is as large as M and `outputCount` demand.
    func apply(
        _ input: Matrix, layout inputLayout: ActivationLayout, into output: inout Matrix, layout outputLayout: ActivationLayout,
        workspace: inout Workspace, parallelism: Parallelism)
}

extension Layer {
    public var layoutSupport: LayoutSupport { .rowMajor }

    public func apply(
        _ input: Matrix, layout inputLayout: ActivationLayout, into output: inout Matrix, layout outputLayout: ActivationLayout,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        let rows = inputLayout == .rowMajor ? input : input.transposed()
        if outputLayout == .rowMajor {
            apply(rows, into: &output, workspace: &workspace, parallelism: parallelism)
        } else {
            requireShapes(rows, .rowMajor, output, .featureMajor)
            var result = Matrix(rows: output.columns, columns: output.rows)
            apply(rows, into: &result, workspace: &workspace, parallelism: parallelism)
            output = result.transposed()
        }
    }

    /// The outputs of `input` [M, inputs] as a new matrix [M, outputs].
    ///
    /// - Precondition: `input` has `inputCount` columns.
    public func callAsFunction(_ input: Matrix, parallelism: Parallelism = .serial) -> Matrix {
        var workspace = Workspace()
        var output = Matrix(rows: input.rows, columns: outputCount(inputs: input.columns))
        apply(input, into: &output, workspace: &workspace, parallelism: parallelism)
        return output
    }

    /// The outputs of inputs that come from outside [M, inputs], which are checked before anything is computed, and the outputs after it.
    ///
    /// What is not checked goes its way: float32 and half layers make NaN of NaN; layers with integer activations quantize NaN to the code 0 and clamp
    /// infinities, so that a wrong number comes out that looks like any other.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless `input` has `inputCount` columns; `.notFinite` for the first NaN or infinity of `input`, and of the
    ///   outputs, where a sum overflowed.
    public func checked(_ input: Matrix, parallelism: Parallelism = .serial) throws(NumericsError) -> Matrix {
        if let inputCount, input.columns != inputCount {
            throw .shapeMismatch(
                what: "input of \(Self.self)", expected: "\(input.rows)×\(inputCount)", found: "\(input.rows)×\(input.columns)")
        }
        if let at = input.firstNonFinite { throw .notFinite(what: "input of \(Self.self)", row: at.row, column: at.column) }
        let output = self(input, parallelism: parallelism)
        if let at = output.firstNonFinite { throw .notFinite(what: "output of \(Self.self)", row: at.row, column: at.column) }
        return output
    }

    /// Traps unless input and output have the shapes of this layer.
    package func requireShapes(_ input: Matrix, _ output: Matrix) { requireShapes(input, .rowMajor, output, .rowMajor) }

    /// Traps unless input and output, in the given layouts, have the shapes of this layer.
    package func requireShapes(_ input: Matrix, _ inputLayout: ActivationLayout, _ output: Matrix, _ outputLayout: ActivationLayout) {
        let rows = input.batch(inputLayout), features = input.features(inputLayout)
        if let inputCount {
            trapUnless(features == inputCount, "input of \(Self.self): expected \(rows)×\(inputCount), found \(rows)×\(features)")
        }
        let expected = outputCount(inputs: features), found = (rows: output.batch(outputLayout), features: output.features(outputLayout))
        trapUnless(
            found == (rows, expected), "output of \(Self.self): expected \(rows)×\(expected), found \(found.rows)×\(found.features)")
    }
}

/// Layers whose weights are a matrix [outputs, inputs], with an optional bias.
public protocol LinearLayer: Layer {
    /// Columns of X, K.
    var inputs: Int { get }
    /// Columns of Y, N.
    var outputs: Int { get }
    /// One number for each output, or nil.
    var bias: [Float]? { get }
    /// What is applied to the outputs.
    var activation: Activation { get set }
    /// The weights as float32, [outputs, inputs].
    func denseWeight() -> Matrix
}

extension LinearLayer {
    public var inputCount: Int? { inputs }
    public func outputCount(inputs: Int) -> Int { outputs }
    package var biasByteCount: Int { (bias?.count ?? 0) * MemoryLayout<Float>.stride }

    /// Calls `body` with the bias, null where there is none.
    internal func withBias<Result>(_ body: (UnsafePointer<Float>?) -> Result) -> Result {
        bias?.withUnsafeBufferPointer { body($0.baseAddress) } ?? body(nil)
    }
}

internal func checkBias(_ bias: [Float]?, outputs: Int) throws(NumericsError) {
    guard let bias, bias.count != outputs else { return }
    throw .shapeMismatch(what: "bias", expected: "\(outputs) numbers", found: "\(bias.count)")
}
