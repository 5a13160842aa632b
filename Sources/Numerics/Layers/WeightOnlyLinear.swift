internal import CKernels

/// A linear layer whose weights are stored as integers and whose activations stay float32: weights are widened 64 outputs at a time and
/// multiplied by the system's BLAS. It saves bytes, not time. Codes may have zero points: w = scale · multiplier · (code − zero point).
public struct WeightOnlyLinear: LinearLayer {
    /// W [outputs, inputs], packed. How its scheme quantizes activations does not matter here.
    public let weight: QuantizedMatrix
    /// [N, groups of an output], or none where all are 0.
    public let zeroPoints: [Int8]
    public let bias: [Float]?
    public var activation: Activation
    private static let outputsAtOnce = 64

    public var inputs: Int { weight.columns }
    public var outputs: Int { weight.rows }
    public var byteCount: Int { weight.byteCount + zeroPoints.count + biasByteCount }

    public func denseWeight() -> Matrix {
        Matrix(rows: outputs, columns: inputs) { destination in
            if let start = destination.baseAddress { weight.dequantize(rows: 0..<outputs, into: start, zeroPoints: zeroPoints) }
        }
    }

    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output and there are no zero points or one for each output and
    ///   group; `.outOfRange` for a zero point that is no code, and for zero points of ternary and 1-bit weights.
    public init(
        weight: QuantizedMatrix, zeroPoints: [Int8] = [], bias: [Float]? = nil, activation: Activation = .none
    ) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        let scheme = weight.scheme, groups = max(1, scheme.groups(columns: weight.columns))
        if !zeroPoints.isEmpty {
            guard zeroPoints.count == weight.rows * groups else {
                throw .shapeMismatch(what: "zero points of weights", expected: "\(weight.rows * groups)", found: "\(zeroPoints.count)")
            }
            guard scheme.bits > 1, !scheme.isTernary else {
                throw .outOfRange(what: "format of weights with zero points", allowed: "8, 4 or 2 bits", found: scheme.description)
            }
            if let wrong = zeroPoints.first(where: { !scheme.codeRange.contains($0) }) {
                let range = scheme.codeRange
                throw .outOfRange(what: "zero point of weights", allowed: "\(range.lowerBound)…\(range.upperBound)", found: "\(wrong)")
            }
        }
        (self.weight, self.zeroPoints, self.bias, self.activation) = (weight, zeroPoints, bias, activation)
    }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        let (m, k) = (input.rows, inputs), block = min(Self.outputsAtOnce, outputs)
        guard m > 0 else { return }
        let wide = workspace.reserve(byteCount: block * k * MemoryLayout<Float>.stride).bindMemory(to: Float.self, capacity: block * k)
        output.withUnsafeMutableBufferPointer { y in
            input.withUnsafeBufferPointer { x in
                for first in stride(from: 0, to: outputs, by: block) {
                    let count = min(block, outputs - first)
                    weight.dequantize(rows: first..<first + count, into: wide, zeroPoints: zeroPoints)
                    FloatProduct(rows: m, inputs: k, outputs: count, parallelism: parallelism).multiply(
                        x.baseAddress!, by: wide, into: y.baseAddress! + first, stride: outputs)
                }
                withBias { bias in if let bias { ck_add_bias_f32(y.baseAddress!, m, outputs, bias) } }
                if activation == .relu { ck_relu_f32(y.baseAddress!, y.count) }
            }
        }
    }
}

extension WeightOnlyLinear: CodableLayer {
    public static let kind = "weightOnly"

    public func encode(into archive: inout some TensorArchiveWriter) {
        archive.put(shapeOf: self)
        weight.encode(into: &archive)
        archive.put(integers: zeroPoints, named: "zeroPoints")
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        let fields = try archive.linearFields()
        try self.init(
            weight: QuantizedMatrix(from: archive, rows: fields.outputs, columns: fields.inputs),
            zeroPoints: archive.integers8(named: "zeroPoints"), bias: fields.bias, activation: fields.activation)
    }
}
