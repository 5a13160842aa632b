internal import CKernels

/// A two-dimensional convolution (cross-correlation, as networks define it) on NHWC images: all windows of all images are the rows of one
/// matrix product with any linear layer, so each format of weights serves convolutions too.
public struct Convolution: Layer {
    public let windows: ImageWindows
    /// Weights [output channels, windowHeight · windowWidth · channels].
    public var linear: any LinearLayer

    /// A convolution with the weights of `linear`.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless `linear` has as many inputs as a window has numbers; `.outOfRange` where an image has more than 2³¹
    ///   outputs or takes more than 2³⁸ multiply-adds, some seconds.
    public init(windows: ImageWindows, linear: any LinearLayer) throws(NumericsError) {
        guard linear.inputs == windows.patchCount else {
            throw .shapeMismatch(what: "inputs of a convolution's weights", expected: "\(windows.patchCount)", found: "\(linear.inputs)")
        }
        let count = try checkedProduct(windows.count, linear.outputs, what: "outputs of a convolution", atMost: 1 << 31)
        _ = try checkedProduct(count, linear.inputs, what: "multiply-adds of a convolution for an image", atMost: 1 << 38)
        (self.windows, self.linear) = (windows, linear)
    }

    public var inputCount: Int? { windows.imageCount }
    public func outputCount(inputs: Int) -> Int { windows.count * linear.outputs }
    public var byteCount: Int { linear.byteCount }

    /// With few outputs, windows and a narrow product cost more than the multiply-adds: they are computed from the images, 3 to 4 times as fast.
    /// The same on every instruction set, since layers that are computed so have no candidates when a network is compiled.
    private static let mostDirectOutputs = 16

    /// Whether a convolution with these weights is computed without a matrix of windows.
    internal static func isComputedDirectly(_ linear: Linear, _ windows: ImageWindows) -> Bool {
        windows.stride == 1 && linear.outputs <= mostDirectOutputs
    }

    private func applyDirectly(
        _ linear: Linear, _ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism
    ) {
        let (imageCount, outputCount) = (windows.imageCount, windows.count * linear.outputs)
        let config = ck_active_kernels().pointee.conv2d_f32.pointee, kernel = config.kernel
        let parallelism = parallelism.suited(toMultiplyAdds: input.rows * outputCount * linear.inputs)
        windows.withKernelArgument { windows in
            let scratchBytes = roundUp(config.workspace_bytes(windows, linear.outputs), toMultipleOf: 64)
            nonisolated(unsafe) let scratch = workspace.reserve(byteCount: scratchBytes * parallelism.threads)
            let images = parallelism.parts(count: input.rows, multiple: 1), relu: Int32 = linear.activation == .relu ? 1 : 0
            output.withUnsafeMutableBufferPointer { y in
                input.withUnsafeBufferPointer { x in
                    linear.weight.withUnsafeBufferPointer { weights in
                        linear.withBias { bias in
                            nonisolated(unsafe) let (x, y, weights, bias, windows) = (
                                x.baseAddress!, y.baseAddress!, weights.baseAddress!, bias, windows
                            )
                            parallelism.forEachPart(ofStages: [images.count]) { _, part, thread in
                                let range = images[part]
                                kernel(
                                    x + range.lowerBound * imageCount, range.count, windows, weights, linear.outputs, bias, relu,
                                    y + range.lowerBound * outputCount, scratch + thread * scratchBytes)
                            }
                        }
                    }
                }
            }
        }
    }

    /// Images whose windows are about 256 KB for each thread, so that they are multiplied while they are in the L2 cache.
    private func imagesAtOnce(_ parallelism: Parallelism) -> Int {
        max(1, parallelism.threads * (256 << 10) / (windows.count * windows.patchCount * MemoryLayout<Float>.stride))
    }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        guard output.count > 0 else { return }
        if let direct = linear as? Linear, Self.isComputedDirectly(direct, windows) {
            return applyDirectly(direct, input, into: &output, workspace: &workspace, parallelism: parallelism)
        }
        let chunk = min(input.rows, imagesAtOnce(parallelism))
        for first in stride(from: 0, to: input.rows, by: chunk) {
            applyChunk(first..<min(first + chunk, input.rows), input, into: &output, workspace: &workspace, parallelism: parallelism)
        }
    }

    private func applyChunk(
        _ images: Range<Int>, _ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism
    ) {
        var (patches, products) = workspace.takeWindows(
            rows: images.count * windows.count, columns: windows.patchCount, outputs: linear.outputs)
        input.withUnsafeBufferPointer { x in
            patches.withUnsafeMutableBufferPointer { to in
                windows.withKernelArgument {
                    ck_im2col_f32(x.baseAddress! + images.lowerBound * windows.imageCount, images.count, $0, to.baseAddress!)
                }
            }
        }
        linear.apply(patches, into: &products, workspace: &workspace, parallelism: parallelism)
        output.withUnsafeMutableBufferPointer { y in
            products.withUnsafeBufferPointer {
                (y.baseAddress! + images.lowerBound * windows.count * linear.outputs).update(from: $0.baseAddress!, count: $0.count)
            }
        }
        workspace.convolution += [patches, products]
    }
}

extension Workspace {
    /// Windows and their products, of earlier calls where there are some of these shapes: whole chunks and the rest of a batch have two. Given back
    /// after use; while they are in use, nobody else may hold them, or writing would copy.
    fileprivate mutating func takeWindows(rows: Int, columns: Int, outputs: Int) -> (patches: Matrix, products: Matrix) {
        for index in stride(from: 0, to: convolution.count, by: 2)
        where convolution[index].rows == rows && convolution[index].columns == columns && convolution[index + 1].columns == outputs {
            let found = (convolution[index], convolution[index + 1])
            convolution.removeSubrange(index..<index + 2)
            return found
        }
        // Eight pairs serve the chunks of four layers; older ones go.
        if convolution.count >= 16 { convolution.removeFirst(2) }
        return (Matrix(rows: rows, columns: columns), Matrix(rows: rows, columns: outputs))
    }
}

extension Convolution: CodableLayer {
    public static let kind = "convolution"

    public func encode(into archive: inout some TensorArchiveWriter) throws(NumericsError) {
        archive.put(windows)
        try archive.put(layer: linear, named: "linear")
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        let windows = try archive.windows(), layer = try archive.layer(named: "linear")
        guard let linear = layer as? any LinearLayer else {
            throw .invalidStructure(what: "weights of a convolution", expected: "a linear layer", found: "\(type(of: layer))")
        }
        try self.init(windows: windows, linear: linear)
    }
}
