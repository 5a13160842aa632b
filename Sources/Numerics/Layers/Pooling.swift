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
    /// - Throws: `NumericsError.shapeMismatch` unless there are as many shifts as scales, `.outOfRange` without any or for `positions` < 1.
    public init(scale: [Float], shift: [Float], positions: Int = 1) throws(NumericsError) {
        guard scale.count == shift.count else {
            throw .shapeMismatch(what: "shifts of channels", expected: "\(scale.count), one for each scale", found: "\(shift.count)")
        }
        guard scale.count > 0, positions > 0 else {
            throw .outOfRange(what: "channels and positions", allowed: "at least 1", found: "\(scale.count) and \(positions)")
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
