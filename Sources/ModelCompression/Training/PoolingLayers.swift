public import CompactNumerics
internal import CKernels
internal import CTraining

/// The largest number of each window, channel by channel; its gradient goes to the first of equal ones.
public final class MaxPoolLayer: TrainableLayer {
    public let name: String
    public let windows: ImageWindows
    private let output = Tensor()
    private let inputGradient = Tensor()
    private var winners: [Int32] = []

    public var summary: String { "max pool \(windows.windowHeight)×\(windows.windowWidth), stride \(windows.stride), padding \(windows.padding)" }

    public init(_ name: String, windows: ImageWindows) {
        (self.name, self.windows) = (name, windows)
    }

    public func outputShape(for input: SampleShape) throws(CompressionError) -> SampleShape {
        try requireImage(windows, input, layer: name)
        return SampleShape(height: windows.outputHeight, width: windows.outputWidth, channels: windows.channels)
    }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        output.reshape(rows: input.rows, columns: windows.count * windows.channels)
        if winners.count < output.count { winners = [Int32](repeating: 0, count: output.count) }
        winners.withUnsafeMutableBufferPointer { winners in
            windows.withKernelArgument { ck_max_pool_f32(input.pointer, input.rows, $0, output.pointer, winners.baseAddress!) }
        }
        return output
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        guard needsInputGradient else { return nil }
        inputGradient.reshape(rows: outputGradient.rows, columns: windows.imageCount)
        winners.withUnsafeBufferPointer { winners in
            windows.withKernelArgument {
                ck_max_pool_backward_f32(outputGradient.pointer, winners.baseAddress!, outputGradient.rows, $0, inputGradient.pointer)
            }
        }
        return inputGradient
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) throws -> [any CompactNumerics.Layer] {
        [MaxPool(windows: windows)]
    }

    public func copy() -> any TrainableLayer { MaxPoolLayer(name, windows: windows) }
}

/// The mean of each window, channel by channel; padding counts as zeros.
public final class AveragePoolLayer: TrainableLayer {
    public let name: String
    public let windows: ImageWindows
    private let output = Tensor()
    private let inputGradient = Tensor()

    public var summary: String { "average pool \(windows.windowHeight)×\(windows.windowWidth), stride \(windows.stride), padding \(windows.padding)" }

    public init(_ name: String, windows: ImageWindows) {
        (self.name, self.windows) = (name, windows)
    }

    public func outputShape(for input: SampleShape) throws(CompressionError) -> SampleShape {
        try requireImage(windows, input, layer: name)
        return SampleShape(height: windows.outputHeight, width: windows.outputWidth, channels: windows.channels)
    }

    public func forward(_ input: Tensor, context: TrainingContext) -> Tensor {
        output.reshape(rows: input.rows, columns: windows.count * windows.channels)
        windows.withKernelArgument { ck_average_pool_f32(input.pointer, input.rows, $0, output.pointer) }
        return output
    }

    public func backward(_ outputGradient: Tensor, needsInputGradient: Bool, context: TrainingContext) -> Tensor? {
        guard needsInputGradient else { return nil }
        inputGradient.reshape(rows: outputGradient.rows, columns: windows.imageCount)
        windows.withKernelArgument {
            ck_average_pool_backward_f32(outputGradient.pointer, outputGradient.rows, $0, inputGradient.pointer)
        }
        return inputGradient
    }

    public func deployed(_ choose: (any WeightedLayer, Linear) throws -> any LinearLayer) throws -> [any CompactNumerics.Layer] {
        [AveragePool(windows: windows)]
    }

    public func copy() -> any TrainableLayer { AveragePoolLayer(name, windows: windows) }
}
