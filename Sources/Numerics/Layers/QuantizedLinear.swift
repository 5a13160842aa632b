internal import CKernels

/// A linear layer with integer weights, Y = X · Wᵀ + b: activations are quantized, integers multiplied and summed exactly, and
/// the sums scaled to float32 (or requantized for a layer that takes codes).
public struct QuantizedLinear: LinearLayer {
    /// W [outputs, inputs], packed.
    public let weight: QuantizedMatrix
    public let bias: [Float]?
    public var activation: Activation
    /// How X gets its codes: from each row, unless a calibrated scale is given.
    public var inputQuantization: ActivationQuantization

    public var inputs: Int { weight.columns }
    public var outputs: Int { weight.rows }
    public var byteCount: Int { weight.byteCount + biasByteCount }
    public func denseWeight() -> Matrix { weight.dequantized() }

    /// Quantizes the weights of another layer.
    ///
    /// - Throws: the errors of `QuantizedMatrix.init(_:scheme:)`.
    public init(
        _ other: some LinearLayer, scheme: QuantizationScheme, inputQuantization: ActivationQuantization = .dynamic
    ) throws(NumericsError) {
        try self.init(
            weight: QuantizedMatrix(other.denseWeight(), scheme: scheme), bias: other.bias, activation: other.activation,
            inputQuantization: inputQuantization)
    }

    /// A layer of weights that are quantized already.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless the bias has one number for each output, `.outOfRange` for a static scale
    ///   that is not positive and finite or a zero point outside the codes.
    public init(
        weight: QuantizedMatrix, bias: [Float]? = nil, activation: Activation = .none, inputQuantization: ActivationQuantization = .dynamic
    ) throws(NumericsError) {
        try checkBias(bias, outputs: weight.rows)
        try inputQuantization.check(highest: Int(weight.scheme.activations.highest))
        self.weight = weight
        self.bias = bias
        self.activation = activation
        self.inputQuantization = inputQuantization
    }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        guard output.count > 0 else { return }
        input.withUnsafeBufferPointer { x in
            output.withUnsafeMutableBufferPointer { y in
                withBias { bias in
                    weight.multiply(
                        x.baseAddress!, rows: input.rows, into: UnsafeMutableRawPointer(y.baseAddress!), bias: bias,
                        relu: activation == .relu, activations: inputQuantization, workspace: &workspace, parallelism: parallelism)
                }
            }
        }
    }

    /// Y as uint8 codes, clamp(rint(y / scale) + zeroPoint, 0, 255), row after row: what a following integer layer with the
    /// same static scale and zero point reads.
    ///
    /// - Precondition: `input` has `inputs` columns, `scale` is positive, `zeroPoint` in 0…255.
    public func requantized(_ input: Matrix, scale: Float, zeroPoint: Int, parallelism: Parallelism = .serial) -> [UInt8] {
        trapUnless(input.columns == inputs, "input of QuantizedLinear: expected \(inputs) columns, found \(input.columns)")
        trapUnless(
            scale > 0 && (0...255).contains(zeroPoint), "requantization: expected scale > 0 and zero point 0…255, found \(scale), \(zeroPoint)")
        return requantize(input, OutputQuantization(scale: scale, zeroPoint: Int32(zeroPoint), isSigned: false), parallelism)
    }

    /// Y as int8 codes, clamp(rint(y / scale), −127, 127), row after row.
    ///
    /// - Precondition: `input` has `inputs` columns, `scale` is positive.
    public func requantizedSymmetric(_ input: Matrix, scale: Float, parallelism: Parallelism = .serial) -> [Int8] {
        trapUnless(input.columns == inputs, "input of QuantizedLinear: expected \(inputs) columns, found \(input.columns)")
        trapUnless(scale > 0, "requantization: expected scale > 0, found \(scale)")
        return requantize(input, OutputQuantization(scale: scale, zeroPoint: 0, isSigned: true), parallelism)
    }

    private func requantize<Code: FixedWidthInteger>(
        _ input: Matrix, _ quantization: OutputQuantization, _ parallelism: Parallelism
    ) -> [Code] {
        var workspace = Workspace()
        return [Code](unsafeUninitializedCapacity: input.rows * outputs) { codes, count in
            count = input.rows * outputs
            guard count > 0 else { return }
            let target = UnsafeMutableRawPointer(codes.baseAddress!)
            input.withUnsafeBufferPointer { x in
                withBias { bias in
                    weight.multiply(
                        x.baseAddress!, rows: input.rows, into: target, bias: bias, relu: activation == .relu,
                        activations: inputQuantization, output: quantization, workspace: &workspace, parallelism: parallelism)
                }
            }
        }
    }
}

extension ActivationQuantization {
    /// - Throws: `NumericsError.outOfRange` for a static scale that is not positive, normal and finite, or a zero point outside 0…`highest`.
    internal func check(highest: Int) throws(NumericsError) {
        guard case .fixed(let scale, let zeroPoint) = self else { return }
        guard scale >= .leastNormalMagnitude, scale.isFinite else {
            throw .outOfRange(what: "scale of activations", allowed: "a positive, finite number", found: "\(scale)")
        }
        guard (0...highest).contains(zeroPoint) else {
            throw .outOfRange(what: "zero point of activations", allowed: "0…\(highest)", found: "\(zeroPoint)")
        }
    }
}

extension QuantizedLinear: CodableLayer {
    public static let kind = "quantized"

    public func encode(into archive: inout some TensorArchiveWriter) {
        archive.put(shapeOf: self)
        weight.encode(into: &archive)
        archive.put(inputQuantization)
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        let fields = try archive.linearFields()
        try self.init(
            weight: QuantizedMatrix(from: archive, rows: fields.outputs, columns: fields.inputs), bias: fields.bias,
            activation: fields.activation, inputQuantization: archive.activationQuantization())
    }
}
