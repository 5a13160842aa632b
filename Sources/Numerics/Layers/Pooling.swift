internal import CKernels

/// The largest number of each window, channel by channel, on NHWC images.
public struct MaxPool: Layer {
    public let windows: ImageWindows

    public init(windows: ImageWindows) {
        self.windows = windows
    }

    public var inputCount: Int? { windows.imageCount }
    public func outputCount(inputs: Int) -> Int { windows.count * windows.channels }
    public var byteCount: Int { 0 }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        input.withUnsafeBufferPointer { x in
            output.withUnsafeMutableBufferPointer { y in
                windows.withKernelArgument { ck_max_pool_f32(x.baseAddress!, input.rows, $0, y.baseAddress!, nil) }
            }
        }
    }
}

/// The mean of each window, channel by channel, on NHWC images; padding counts as zeros.
public struct AveragePool: Layer {
    public let windows: ImageWindows

    public init(windows: ImageWindows) {
        self.windows = windows
    }

    public var inputCount: Int? { windows.imageCount }
    public func outputCount(inputs: Int) -> Int { windows.count * windows.channels }
    public var byteCount: Int { 0 }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        input.withUnsafeBufferPointer { x in
            output.withUnsafeMutableBufferPointer { y in
                windows.withKernelArgument { ck_average_pool_f32(x.baseAddress!, input.rows, $0, y.baseAddress!) }
            }
        }
    }
}

/// y = x · scale + shift, channel by channel: what batch normalization is in a deployed network.
public struct ScaleShift: Layer {
    /// One number for each channel.
    public let scale: [Float]
    public let shift: [Float]
    private let positions: Int

    /// A layer for samples of `positions` · `scale.count` numbers, channels innermost.
    ///
    /// - Throws: `NumericsError.shapeMismatch` unless there are as many shifts as scales, `.outOfRange` without any, for `positions` < 1 and samples of
    ///   more than 2³¹ numbers, `.notFinite` for scales and shifts.
    public init(scale: [Float], shift: [Float], positions: Int = 1) throws(NumericsError) {
        guard scale.count == shift.count else {
            throw .shapeMismatch(what: "shifts of channels", expected: "\(scale.count), one for each scale", found: "\(shift.count)")
        }
        guard scale.count > 0, positions > 0 else {
            throw .outOfRange(what: "channels and positions", allowed: "at least 1", found: "\(scale.count) and \(positions)")
        }
        _ = try checkedProduct(positions, scale.count, what: "numbers of a sample", atMost: Int(Int32.max))
        for (what, numbers) in [("scales of channels", scale), ("shifts of channels", shift)] {
            if let wrong = numbers.firstIndex(where: { !$0.isFinite }) { throw .notFinite(what: what, row: wrong, column: 0) }
        }
        (self.scale, self.shift, self.positions) = (scale, shift, positions)
    }

    public var inputCount: Int? { positions * scale.count }
    public func outputCount(inputs: Int) -> Int { inputs }
    public var byteCount: Int { 2 * scale.count * MemoryLayout<Float>.stride }

    public func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        requireShapes(input, output)
        input.withUnsafeBufferPointer { x in
            output.withUnsafeMutableBufferPointer { y in
                ck_scale_shift_f32(x.baseAddress!, input.rows * positions, scale.count, scale, shift, y.baseAddress!)
            }
        }
    }
}

extension MaxPool: CodableLayer {
    public static let kind = "maxPool"

    public func encode(into archive: inout some TensorArchiveWriter) { archive.put(windows) }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) { try self.init(windows: archive.windows()) }
}

extension AveragePool: CodableLayer {
    public static let kind = "averagePool"

    public func encode(into archive: inout some TensorArchiveWriter) { archive.put(windows) }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) { try self.init(windows: archive.windows()) }
}

extension ScaleShift: CodableLayer {
    public static let kind = "scaleShift"

    public func encode(into archive: inout some TensorArchiveWriter) {
        archive.put(positions, named: "positions")
        archive.put(floats: scale, named: "scale")
        archive.put(floats: shift, named: "shift")
    }

    public init(from archive: some TensorArchiveReader) throws(NumericsError) {
        try self.init(
            scale: archive.floats(named: "scale"), shift: archive.floats(named: "shift"), positions: archive.integer(named: "positions"))
    }
}
