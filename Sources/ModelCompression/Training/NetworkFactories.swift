internal import CompactNumerics

extension TrainableNetwork {
    /// Dense layers of the given widths, inputs first, with ReLU between them: `mlp([784, 30, 10])`. Layers are called fc1, relu1, fc2, …
    ///
    /// - Throws: `CompressionError.outOfRange` unless there are at least two widths, all positive.
    public static func mlp(_ widths: [Int], inputShape: SampleShape? = nil, seed: UInt64 = 0) throws(CompressionError) -> TrainableNetwork {
        guard widths.count >= 2, widths.allSatisfy({ (1...1 << 24).contains($0) }) else {
            throw .outOfRange(what: "widths of a network", allowed: "at least 2, all of 1…\(1 << 24)", found: "\(widths)")
        }
        var generator = SeededGenerator(seed: seed)
        var layers: [any TrainableLayer] = []
        for index in 1..<widths.count {
            layers.append(DenseLayer("fc\(index)", inputs: widths[index - 1], outputs: widths[index], generator: &generator))
            if index < widths.count - 1 { layers.append(ReLULayer("relu\(index)")) }
        }
        return try TrainableNetwork(inputShape: inputShape ?? SampleShape(widths[0]), layers: layers)
    }

    /// LeNet-300-100 (LeCun et al. 1998): 28×28 grey images, dense layers of 300, 100 and `classes` outputs, ReLU.
    public static func lenet300100(classes: Int = 10, seed: UInt64 = 0) throws(CompressionError) -> TrainableNetwork {
        try mlp([784, 300, 100, classes], inputShape: SampleShape(height: 28, width: 28, channels: 1), seed: seed)
    }

    /// LeNet-5 (LeCun et al. 1998) as used today: 28×28 grey images, 5×5 convolutions of 6 (padding 2) and 16 channels, each with ReLU and
    /// 2×2 max pooling, dense layers of 120, 84 and `classes` outputs.
    public static func lenet5(classes: Int = 10, seed: UInt64 = 0) throws(CompressionError) -> TrainableNetwork {
        guard classes > 0 else { throw .outOfRange(what: "classes", allowed: "at least 1", found: "\(classes)") }
        var generator = SeededGenerator(seed: seed)
        func windows(_ side: Int, _ channels: Int, window: Int, stride: Int = 1, padding: Int = 0) throws(CompressionError) -> ImageWindows {
            do throws(NumericsError) {
                return try ImageWindows(
                    height: side, width: side, channels: channels, windowHeight: window, windowWidth: window, stride: stride, padding: padding)
            } catch {
                throw .numerics(error)
            }
        }
        let layers: [any TrainableLayer] = [
            Conv2DLayer("conv1", windows: try windows(28, 1, window: 5, padding: 2), outputChannels: 6, generator: &generator),
            ReLULayer("relu1"),
            MaxPoolLayer("pool1", windows: try windows(28, 6, window: 2, stride: 2)),
            Conv2DLayer("conv2", windows: try windows(14, 6, window: 5), outputChannels: 16, generator: &generator),
            ReLULayer("relu2"),
            MaxPoolLayer("pool2", windows: try windows(10, 16, window: 2, stride: 2)),
            FlattenLayer("flatten"),
            DenseLayer("fc1", inputs: 400, outputs: 120, generator: &generator),
            ReLULayer("relu3"),
            DenseLayer("fc2", inputs: 120, outputs: 84, generator: &generator),
            ReLULayer("relu4"),
            DenseLayer("fc3", inputs: 84, outputs: classes, generator: &generator),
        ]
        return try TrainableNetwork(inputShape: SampleShape(height: 28, width: 28, channels: 1), layers: layers)
    }
}
