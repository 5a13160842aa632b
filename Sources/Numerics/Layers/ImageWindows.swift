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
    /// - Throws: `NumericsError.outOfRange` unless sizes and stride are positive, the padding is smaller than the window, the window fits into the
    ///   padded image, that has at most 2³¹ − 1 numbers, and all windows together at most 2³⁰, which bounds the memory and the work of an image.
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
        let paddedHeight = height + 2 * padding, paddedWidth = width + 2 * padding
        _ = try checkedProduct(paddedHeight, paddedWidth, channels, what: "numbers of a padded image", atMost: Int(Int32.max))
        _ = try checkedProduct(
            (paddedHeight - windowHeight) / stride + 1, (paddedWidth - windowWidth) / stride + 1, windowHeight, windowWidth, channels,
            what: "numbers of all windows of an image", atMost: 1 << 30)
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

extension TensorArchiveWriter {
    package mutating func put(_ windows: ImageWindows) {
        let sizes = [windows.height, windows.width, windows.channels, windows.windowHeight, windows.windowWidth, windows.stride, windows.padding]
        put(.integers(sizes), named: "windows")
    }
}

extension TensorArchiveReader {
    package func windows() throws(NumericsError) -> ImageWindows {
        let sizes = try integers(named: "windows", count: 7)
        return try ImageWindows(
            height: sizes[0], width: sizes[1], channels: sizes[2], windowHeight: sizes[3], windowWidth: sizes[4], stride: sizes[5],
            padding: sizes[6])
    }
}
