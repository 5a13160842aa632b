/// A way to store the weights of a linear layer, which a float32 layer can be turned into.
public enum LayerFormat: Sendable, Hashable {
    case float32
    case half(HalfMatrix.Format)
    case quantized(QuantizationScheme)
    /// Blocks with at least one weight that is not zero: nothing is pruned.
    case sparse(BlockShape, SparseValues = .float32)

    /// The layer in this format.
    ///
    /// - Parameter rows: the rows of activations, M, that it will usually have.
    /// - Throws: `NumericsError.notDivisible` for groups that do not divide K, and the other errors of the layer's initializer.
    public func layer(_ linear: Linear, rows: Int) throws(NumericsError) -> any LinearLayer {
        switch self {
        case .float32: return linear
        case .half(let format): return HalfLinear(linear, format: format)
        case .quantized(let scheme): return try QuantizedLinear(linear, scheme: scheme)
        case .sparse(let shape, let values):
            let weight = try BlockSparseMatrix(
                linear.weight, mask: WeightMask(nonzerosOf: linear.weight), shape: shape, values: values, expectedRows: rows)
            return try SparseLinear(weight: weight, bias: linear.bias, activation: linear.activation)
        }
    }
}

extension LayerFormat: CustomStringConvertible {
    /// float32, f16, bf16, w4a8-g32, csr, 4x1, csr-w8a8, …
    public var description: String {
        switch self {
        case .float32: "float32"
        case .half(let format): format.rawValue
        case .quantized(let scheme): scheme.description
        case .sparse(let shape, let values): (shape == .single ? "csr" : shape.description) + (values == .int8 ? "-w8a8" : "")
        }
    }
}
