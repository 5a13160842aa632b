import CompactNumerics
import ModelCompression
import Testing

/// Networks and data that are small enough to check by hand.
enum Small {
    static func mlp(_ widths: [Int] = [6, 8, 4], seed: UInt64 = 1) throws -> TrainableNetwork { try .mlp(widths, seed: seed) }

    static func inputs(_ rows: Int, _ columns: Int, seed: UInt64 = 9) throws -> Matrix {
        var generator = SeededGenerator(seed: seed)
        return try Matrix(rows: rows, columns: columns, elements: (0..<rows * columns).map { _ in Float(generator.gaussian()) })
    }

    static func data(_ count: Int = 40, shape: SampleShape = SampleShape(6), classes: Int = 4, seed: UInt64 = 9) throws -> LabelledData {
        let inputs = try inputs(count, shape.count, seed: seed)
        return try LabelledData(inputs: inputs, labels: (0..<count).map { ($0 * 7 + $0 / 3) % classes }, classes: classes, shape: shape)
    }

    /// LeNet-5 on 12×12 images with batch normalization behind both convolutions and the first dense layer; its numbers are not those
    /// that a new one has.
    static func lenet5(padding: Int = 1, flattenFirst: Bool = true) throws -> TrainableNetwork {
        var generator = SeededGenerator(seed: 4)
        let conv1 = try ImageWindows(height: 12, width: 12, channels: 2, windowHeight: 3, windowWidth: 3, padding: 1)
        let pool1 = try ImageWindows(height: 12, width: 12, channels: 6, windowHeight: 2, windowWidth: 2, stride: 2)
        let conv2 = try ImageWindows(height: 6, width: 6, channels: 6, windowHeight: 3, windowWidth: 3, padding: padding)
        let side = conv2.outputHeight
        let pool2 = try ImageWindows(height: side, width: side, channels: 8, windowHeight: 2, windowWidth: 2, stride: 2)
        let positions = pool2.count
        var layers: [any TrainableLayer] = [
            Conv2DLayer("conv1", windows: conv1, outputChannels: 6, generator: &generator), BatchNormLayer("bn1", channels: 6), ReLULayer("relu1"),
            MaxPoolLayer("pool1", windows: pool1),
            Conv2DLayer("conv2", windows: conv2, outputChannels: 8, hasBias: false, generator: &generator), BatchNormLayer("bn2", channels: 8),
            ReLULayer("relu2"), AveragePoolLayer("pool2", windows: pool2),
        ]
        if flattenFirst { layers += [FlattenLayer("flatten"), BatchNormLayer("bn3", channels: positions * 8)] }
        layers += [
            DenseLayer("fc1", inputs: positions * 8, outputs: 10, generator: &generator), BatchNormLayer("bn4", channels: 10), ReLULayer("relu3"),
            DenseLayer("fc2", inputs: 10, outputs: 4, hasBias: false, generator: &generator),
        ]
        let network = try TrainableNetwork(inputShape: SampleShape(height: 12, width: 12, channels: 2), layers: layers)
        for case let layer as BatchNormLayer in network.layers {
            for index in 0..<layer.channels {
                layer.gamma.value[0, index] = Float(0.5 + generator.uniform())
                layer.beta.value[0, index] = Float(generator.gaussian() * 0.3)
                layer.runningMean[0, index] = Float(generator.gaussian() * 0.2)
                layer.runningVariance[0, index] = Float(0.5 + generator.uniform())
            }
        }
        return network
    }
}

extension TrainableNetwork {
    func weighted(_ name: String) -> any WeightedLayer { weightedLayers.first { $0.name == name }! }
    func mask(_ name: String) -> [UInt8] { weighted(name).weight.mask ?? Array(repeating: 1, count: weighted(name).weight.value.count) }
}

/// Which of `scores` stay when the `prune` smallest go, of equal ones the last, by sorting.
func naiveKeep(_ scores: [Double], prune: Int) -> [UInt8] {
    let order = scores.indices.sorted { scores[$0] != scores[$1] ? scores[$0] < scores[$1] : $0 > $1 }
    var keep = [UInt8](repeating: 1, count: scores.count)
    for index in order.prefix(prune) { keep[index] = 0 }
    return keep
}

func expectClose(_ left: Matrix, _ right: Matrix, tolerance: Float = 1e-5, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(left.rows == right.rows && left.columns == right.columns, sourceLocation: sourceLocation)
    for row in 0..<left.rows {
        for column in 0..<left.columns {
            let (a, b) = (left[row, column], right[row, column])
            #expect(abs(a - b) <= tolerance * (1 + abs(a)), "[\(row), \(column)]", sourceLocation: sourceLocation)
        }
    }
}
