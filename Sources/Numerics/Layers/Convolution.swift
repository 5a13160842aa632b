package import CKernels

/// Windows that slide over an image, as convolution and pooling use them. Images are rows [height · width · channels], channels innermost.
public struct ImageWindows: Sendable, Hashable {
    public let height: Int
    public let width: Int
    public let channels: Int
    public let windowHeight: Int
    public let windowWidth: Int
    /// Pixels from one window to the next, in both directions.
    public let stride: Int
    /// Rows and columns around the image that count as zeros (as nothing, for the largest element).
    public let padding: Int

    public var outputHeight: Int { (height + 2 * padding - windowHeight) / stride + 1 }
    public var outputWidth: Int { (width + 2 * padding - windowWidth) / stride + 1 }
    /// Windows of one image.
    public var count: Int { outputHeight * outputWidth }
    /// Numbers of one image.
    public var imageCount: Int { height * width * channels }
    /// Numbers of one window: windowHeight · windowWidth · channels.
    public var patchCount: Int { windowHeight * windowWidth * channels }

    /// Windows over images of the given size.
    ///
    /// - Throws: `NumericsError.outOfRange` unless sizes and stride are positive, the padding is smaller than the window, and the window
    ///   fits into the padded image.
    public init(
        height: Int, width: Int, channels: Int, windowHeight: Int, windowWidth: Int, stride: Int = 1, padding: Int = 0
    ) throws(NumericsError) {
        let limit = 1 << 20
        for (what, value) in [
            ("height of an image", height), ("width of an image", width), ("channels of an image", channels), ("stride of windows", stride),
            ("height of a window", windowHeight), ("width of a window", windowWidth),
        ] where !(1...limit).contains(value) {
            throw .outOfRange(what: what, allowed: "1…\(limit)", found: "\(value)")
        }
        guard (0..<min(windowHeight, windowWidth)).contains(padding) else {
            throw .outOfRange(what: "padding of windows", allowed: "0 to less than the window, \(windowHeight)×\(windowWidth)", found: "\(padding)")
        }
        guard windowHeight <= height + 2 * padding, windowWidth <= width + 2 * padding else {
            throw .outOfRange(
                what: "window", allowed: "at most the padded image, \(height + 2 * padding)×\(width + 2 * padding)",
                found: "\(windowHeight)×\(windowWidth)")
        }
        // Indices within an image are kept as int32 by pooling.
        let (pixels, channelsOverflow) = (height * width).multipliedReportingOverflow(by: channels)
        guard !channelsOverflow, pixels <= Int(Int32.max) else {
            throw .outOfRange(what: "image", allowed: "at most \(Int32.max) numbers", found: "\(height)×\(width)×\(channels)")
        }
        (self.height, self.width, self.channels, self.stride, self.padding) = (height, width, channels, stride, padding)
        (self.windowHeight, self.windowWidth) = (windowHeight, windowWidth)
    }

    package func withKernelArgument<Result>(_ body: (UnsafePointer<ck_windows>) -> Result) -> Result {
        var windows = ck_windows()
        (windows.height, windows.width, windows.channels) = (height, width, channels)
        (windows.window_height, windows.window_width) = (windowHeight, windowWidth)
        (windows.stride, windows.padding) = (stride, padding)
        (windows.output_height, windows.output_width) = (outputHeight, outputWidth)
        return withUnsafePointer(to: windows, body)
    }
}

/// A two-dimensional convolution (cross-correlation, as networks define it) on NHWC images: all windows of all images are the rows of one
/// matrix product with any linear layer, so each format of weights serves convolutions too.
public struct Convolution: Layer {
    public let windows: ImageWindows
    /// Weights [output channels, windowHeight · windowWidth · channels].
    public var linear: any LinearLayer

    /// A convolution with the weights of `linear`.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless `linear` has as many inputs as a window has numbers.
    public init(windows: ImageWindows, linear: any LinearLayer) throws(NumericsError) {
        guard linear.inputs == windows.patchCount else {
            throw .shapeMismatch(what: "inputs of a convolution's weights", expected: "\(windows.patchCount)", found: "\(linear.inputs)")
        }
        (self.windows, self.linear) = (windows, linear)
    }

    public var inputCount: Int? { windows.imageCount }
    public func outputCount(inputs: Int) -> Int { windows.count * linear.outputs }
    public var byteCount: Int { linear.byteCount }

    /// With few outputs, windows and a narrow product cost more than the multiply-adds: they are computed from the images, 3 to 4 times as fast.
    private static let mostDirectOutputs = 16

    /// Whether a convolution with these weights is computed without a matrix of windows.
    internal static func isComputedDirectly(_ linear: Linear, _ windows: ImageWindows) -> Bool {
        windows.stride == 1 && linear.outputs <= mostDirectOutputs
    }

    private func applyDirectly(
        _ linear: Linear, _ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism
    ) {
        let (imageCount, outputCount) = (windows.imageCount, windows.count * linear.outputs), kernel = ck_active_kernels().pointee.conv2d_f32
        let parallelism = parallelism.suited(toMultiplyAdds: input.rows * outputCount * linear.inputs)
        windows.withKernelArgument { windows in
            let scratchCount = roundUp(ck_conv2d_workspace_count(windows), toMultipleOf: 16)
            let memory = workspace.reserve(byteCount: scratchCount * parallelism.threads * MemoryLayout<Float>.stride)
            nonisolated(unsafe) let scratch = memory.bindMemory(to: Float.self, capacity: scratchCount * parallelism.threads)
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
                                    y + range.lowerBound * outputCount, scratch + thread * scratchCount)
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
