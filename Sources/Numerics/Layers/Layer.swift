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
}

extension Layer {
    /// The outputs of `input` [M, inputs] as a new matrix [M, outputs].
    ///
    /// - Precondition: `input` has `inputCount` columns.
    public func callAsFunction(_ input: Matrix, parallelism: Parallelism = .serial) -> Matrix {
        var workspace = Workspace()
        var output = Matrix(rows: input.rows, columns: outputCount(inputs: input.columns))
        apply(input, into: &output, workspace: &workspace, parallelism: parallelism)
        return output
    }

    /// Traps unless input and output have the shapes of this layer.
    package func requireShapes(_ input: Matrix, _ output: Matrix) {
        if let inputCount {
            precondition(
                input.columns == inputCount, "input of \(Self.self): expected \(input.rows)×\(inputCount), found \(input.rows)×\(input.columns)")
        }
        let expected = outputCount(inputs: input.columns)
        precondition(
            output.rows == input.rows && output.columns == expected,
            "output of \(Self.self): expected \(input.rows)×\(expected), found \(output.rows)×\(output.columns)")
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
