public import CompactNumerics
internal import CKernels
internal import CTraining

/// A two-dimensional convolution (cross-correlation) on NHWC images. All windows of the batch are the rows of one product:
/// [batch · oh · ow, kh · kw · c] times W[output channels, kh · kw · c]ᵀ.
public final class Conv2DLayer: WeightedLayer {
    public let name: String
    public let windows: ImageWindows
    public let weight: Parameter
    public let bias: Parameter?
    public var product: any LinearProduct
    private let patches = Tensor()
    private let patchGradient = Tensor()
    private let output = Tensor()
    private let inputGradient = Tensor()
    private var input: Tensor?

    public var outputChannels: Int { weight.value.rows }
    public var multiplicationsPerSample: Int { weight.value.count * windows.count }
    public var summary: String {
        "conv \(windows.height)×\(windows.width)×\(windows.channels)→\(outputChannels), window \(windows.windowHeight)×\(windows.windowWidth), "
            + "stride \(windows.stride), padding \(windows.padding)\(bias == nil ? ", without bias" : "")"
    }

    /// A layer of random weights, uniform in ±1/√(numbers of a window).
    ///
    /// - Precondition: `outputChannels` is positive.
    public init(
        _ name: String, windows: ImageWindows, outputChannels: Int, hasBias: Bool = true, generator: inout SeededGenerator
    ) {
        trapUnless(outputChannels > 0, "convolution \(name): expected at least 1 output channel, found \(outputChannels)")
        (self.name, self.windows) = (name, windows)
        (weight, bias) = initialParameters(
            name: name, outputs: outputChannels, inputs: windows.patchCount, hasBias: hasBias, generator: &generator)
        product = FloatProduct()
    }

    /// A layer of given parameters: `weight` [output channels, numbers of a window], `bias` [1, output channels].
    ///
    /// - Precondition: the parameters have these shapes.
    public init(
        _ name: String, windows: ImageWindows, weight: Parameter, bias: Parameter?, product: any LinearProduct = FloatProduct()
    ) {
        trapUnless(weight.value.columns == windows.patchCount, "weights of \(name): expected \(windows.patchCount) columns")
        trapUnless(bias.map { $0.value.count == weight.value.rows } ?? true, "bias of \(name): expected \(weight.value.rows) numbers")
        (self.name, self.windows, self.weight, self.bias, self.product) = (name, windows, weight, bias, product)
    }

    public func outputShape(for input: SampleShape) throws(CompressionError) -> SampleShape {
        try requireImage(windows, input, layer: name)
        return SampleShape(height: windows.outputHeight, width: windows.outputWidth, channels: outputChannels)
    }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        let batch = input.rows
        self.input = input
        if let plain = product as? FloatProduct { return forwardInPieces(input, plain, context) }
        patches.reshape(rows: batch * windows.count, columns: windows.patchCount)
        windows.withKernelArgument { ck_im2col_f32(input.pointer, batch, $0, patches.pointer) }
        output.reshape(rows: patches.rows, columns: outputChannels)
        product.forward(patches, weight: weight, bias: bias, output: output, context: context)
        output.reshape(rows: batch, columns: windows.count * outputChannels)
        return output
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        if let plain = product as? FloatProduct { return backwardInPieces(outputGradient, needsInputGradient, plain, context) }
        let (batch, columns) = (outputGradient.rows, outputGradient.columns)
        if needsInputGradient { patchGradient.reshape(rows: patches.rows, columns: patches.columns) }
        // The same numbers as one row for each window.
        outputGradient.reshape(rows: patches.rows, columns: outputChannels)
        product.backward(
            outputGradient, input: patches, weight: weight, bias: bias, inputGradient: needsInputGradient ? patchGradient : nil,
            context: context)
        outputGradient.reshape(rows: batch, columns: columns)
        guard needsInputGradient else { return nil }
        inputGradient.reshape(rows: batch, columns: windows.imageCount)
        windows.withKernelArgument { ck_col2im_f32(patchGradient.pointer, batch, $0, inputGradient.pointer) }
        return inputGradient
    }

    // The plain product takes a few images at a time: their windows, which are as many times larger as a window has numbers, then stay in
    // the L2 cache, and gathering them again for the backward pass costs less than reading them from memory.
    private func forEachPiece(_ batch: Int, _ parallelism: Parallelism, _ body: (_ first: Int, _ images: Int, _ rows: Int) -> Void) {
        let size = max(1, Self.pieceElements * parallelism.threads / (windows.count * windows.patchCount))
        patches.reshape(rows: min(size, batch) * windows.count, columns: windows.patchCount)
        for first in stride(from: 0, to: batch, by: size) {
            let images = min(size, batch - first)
            body(first, images, images * windows.count)
        }
    }

    // 256 KB: half of the smallest L2 cache that is common.
    private static let pieceElements = 1 << 16

    private func gather(_ input: Tensor, _ first: Int, _ images: Int) {
        windows.withKernelArgument { ck_im2col_f32(input.pointer + first * windows.imageCount, images, $0, patches.pointer) }
    }

    private func forwardInPieces(_ input: Tensor, _ product: FloatProduct, _ context: TrainingContext) -> Tensor {
        let (factor, offset) = product.operands(weight, bias, context.arithmetic)
        output.reshape(rows: input.rows, columns: windows.count * outputChannels)
        forEachPiece(input.rows, context.parallelism) { first, images, rows in
            gather(input, first, images)
            FloatProduct.multiply(
                patches.pointer, rows: rows, factor, bias: offset, into: output.pointer + first * output.columns, context.parallelism)
        }
        return output
    }

    private func backwardInPieces(
        _ outputGradient: Tensor, _ needsInputGradient: Bool, _ product: FloatProduct, _ context: TrainingContext
    ) -> Tensor? {
        guard let input else { trap("layer \(name): expected a forward pass before the backward pass") }
        let factor = product.lastWeight(weight, context.arithmetic)
        if needsInputGradient { inputGradient.reshape(rows: input.rows, columns: windows.imageCount) }
        forEachPiece(input.rows, context.parallelism) { first, images, rows in
            let dy = outputGradient.pointer + first * outputGradient.columns
            gather(input, first, images)
            FloatProduct.weightGradients(
                dy, input: patches.pointer, rows: rows, weight: weight, bias: bias, adding: first > 0, context.parallelism)
            guard needsInputGradient else { return }
            // The windows have served: their memory takes their gradient.
            FloatProduct.inputGradient(dy, rows: rows, factor, into: patches.pointer, context.parallelism)
            windows.withKernelArgument { ck_col2im_f32(patches.pointer, images, $0, inputGradient.pointer + first * windows.imageCount) }
        }
        return needsInputGradient ? inputGradient : nil
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) throws -> [any CompactNumerics.Layer] {
        [try Convolution(windows: windows, linear: choose(self, linear()))]
    }

    public func copy() -> any TrainableLayer {
        Conv2DLayer(name, windows: windows, weight: weight.copy(), bias: bias?.copy(), product: product.copy())
    }
}

internal func requireImage(_ windows: ImageWindows, _ input: SampleShape, layer: String) throws(CompressionError) {
    let expected = SampleShape(height: windows.height, width: windows.width, channels: windows.channels)
    guard input == expected else {
        throw .shapeMismatch(what: "inputs of layer \(layer)", expected: "\(expected)", found: "\(input)")
    }
}
