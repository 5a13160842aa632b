internal import CompactNumerics

/// One layer of a deployed network, but for its numbers, as the file's metadata holds it.
internal struct LayerDescription: Codable {
    enum Kind: String, Codable { case linear, quantized, weightOnly, half, sparse, nOfM, relu, maxPool, averagePool, scaleShift }
    /// height, width, channels, windowHeight, windowWidth, stride, padding.
    typealias Windows = [Int]

    var kind: Kind
    /// Outputs and inputs of a linear layer.
    var outputs: Int?
    var inputs: Int?
    var relu: Bool?
    /// Name of the quantization scheme, of the half format, of the block shape or of the N:M sparsity.
    var format: String?
    /// Sparse values: float32 or int8.
    var values: String?
    /// Static scale and zero point of the inputs.
    var inputScale: Float?
    var inputZeroPoint: Int?
    /// Of pooling, and of a linear layer that is a convolution.
    var windows: Windows?
    /// Of scale and shift: numbers of a sample per channel.
    var positions: Int?

    init(_ kind: Kind) { self.kind = kind }

    init(_ kind: Kind, _ layer: any LinearLayer, format: String? = nil) {
        (self.kind, outputs, inputs, relu, self.format) = (kind, layer.outputs, layer.inputs, layer.activation == .relu, format)
    }

    static func list(_ windows: ImageWindows) -> Windows {
        [windows.height, windows.width, windows.channels, windows.windowHeight, windows.windowWidth, windows.stride, windows.padding]
    }

    func imageWindows() throws -> ImageWindows? {
        guard let windows else { return nil }
        guard windows.count == 7 else { throw NumericsError.shapeMismatch(what: "numbers of windows", expected: "7", found: "\(windows.count)") }
        return try ImageWindows(
            height: windows[0], width: windows[1], channels: windows[2], windowHeight: windows[3], windowWidth: windows[4], stride: windows[5],
            padding: windows[6])
    }
}
