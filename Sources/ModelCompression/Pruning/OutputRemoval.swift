internal import CompactNumerics
internal import CTraining

extension TrainableNetwork {
    /// A smaller dense network without the outputs (units, filters) of which all weights are 0; the last layer keeps its own. Its outputs
    /// without training equal those of this network within float rounding.
    ///
    /// Without weights an output is constant: its bias, then what normalization, ReLU and pooling make of it. What the next layer makes
    /// of that constant becomes part of its bias. Where this is impossible the output stays: before a convolution with padding, unless the
    /// constant is 0, and before layers of other kinds than this package's. At least one output of each layer stays.
    ///
    /// - Throws: `CompressionError.outOfRange` for a layer of another kind than this package's behind a removed output or for a product
    ///   with parameters of its own, whose outputs cannot be told apart.
    public func removingPrunedOutputs() throws(CompressionError) -> TrainableNetwork {
        var remover = OutputRemover(self)
        return try remover.run()
    }
}

/// Walks through a network once; everything in front of the current layer is rebuilt already.
private struct OutputRemover {
    private let network: TrainableNetwork
    /// Which channels of the original shape are left at this point, and how many it has.
    private var kept: [Int]
    private var channels: Int
    private var shape: SampleShape
    /// What the removed channels hold at this point.
    private var constants: [Int: Float] = [:]

    init(_ network: TrainableNetwork) {
        self.network = network
        shape = network.inputShape
        channels = shape.channels
        kept = Array(0..<channels)
    }

    mutating func run() throws(CompressionError) -> TrainableNetwork {
        var layers: [any TrainableLayer] = []
        for (index, layer) in network.layers.enumerated() {
            layers.append(try rebuild(layer, index: index))
            shape = network.shapes[index]
        }
        return try TrainableNetwork(inputShape: network.inputShape, layers: layers)
    }

    private mutating func rebuild(_ layer: any TrainableLayer, index: Int) throws(CompressionError) -> any TrainableLayer {
        if let layer = layer as? any WeightedLayer { return try rebuild(layer, index: index) }
        if kept.count == channels, !(layer is FlattenLayer) { return layer.copy() }
        guard let passed = constants.mapConstants(through: layer, channels: channels) else {
            throw .outOfRange(what: "layer \(layer.name) behind removed outputs", allowed: "a layer of this package", found: layer.summary)
        }
        constants = passed
        switch layer {
        case let layer as BatchNormLayer: return rebuild(layer)
        case let layer as MaxPoolLayer: return MaxPoolLayer(layer.name, windows: try narrowed(layer.windows))
        case let layer as AveragePoolLayer: return AveragePoolLayer(layer.name, windows: try narrowed(layer.windows))
        case is FlattenLayer: spreadOverPositions()
        default: break
        }
        return layer.copy()
    }

    // An image becomes a vector: channel c of C is at c, c + C, …
    private mutating func spreadOverPositions() {
        let positions = shape.height * shape.width
        let (count, single, values) = (channels, kept, constants)
        kept = (0..<positions).flatMap { position in single.map { position * count + $0 } }
        constants = [:]
        for position in 0..<positions { for (channel, value) in values { constants[position * count + channel] = value } }
        (channels, shape) = (positions * count, SampleShape(positions * count))
    }

    private func narrowed(_ windows: ImageWindows) throws(CompressionError) -> ImageWindows {
        try CompressionError.wrapping {
            try ImageWindows(
                height: windows.height, width: windows.width, channels: kept.count, windowHeight: windows.windowHeight,
                windowWidth: windows.windowWidth, stride: windows.stride, padding: windows.padding)
        }
    }

    private func rebuild(_ layer: BatchNormLayer) -> BatchNormLayer {
        let copy = BatchNormLayer(layer.name, channels: kept.count, momentum: layer.momentum, epsilon: layer.epsilon)
        for (target, source) in [(copy.gamma, layer.gamma), (copy.beta, layer.beta)] {
            target.value.assign(source.value.selecting(rows: [0], columns: kept))
            target.mask = source.mask.flatMap { mask in Self.unlessFull(kept.map { mask[$0] }) }
        }
        copy.runningMean.assign(layer.runningMean.selecting(rows: [0], columns: kept))
        copy.runningVariance.assign(layer.runningVariance.selecting(rows: [0], columns: kept))
        return copy
    }

    private static func unlessFull(_ mask: [UInt8]) -> [UInt8]? { mask.contains(0) ? mask : nil }

    // MARK: - Layers with weights

    private mutating func rebuild(_ layer: any WeightedLayer, index: Int) throws(CompressionError) -> any WeightedLayer {
        let convolution = layer as? Conv2DLayer
        guard convolution != nil || layer is DenseLayer else {
            if kept.count == channels {
                resetToOutputs(of: index, keeping: Array(0..<network.shapes[index].channels), constants: [:])
                return layer.copy() as! any WeightedLayer
            }
            throw .outOfRange(what: "layer \(layer.name) behind removed outputs", allowed: "a layer of this package", found: layer.summary)
        }
        if convolution == nil { spreadOverPositions() }
        // Of a convolution's weights, window position p and channel c are column p · C + c.
        let positions = layer.weight.value.columns / channels
        let columns = (0..<positions).flatMap { position in kept.map { position * channels + $0 } }
        let bias = foldedBias(layer, positions: positions)
        let reduced = layer.weight.value.selecting(rows: Array(0..<layer.weight.value.rows), columns: columns)
        let removed = removableOutputs(reduced, bias: bias, behind: index)
        let rows = (0..<reduced.rows).filter { removed[$0] == nil }
        let windows = try convolution.map { layer throws(CompressionError) in try narrowed(layer.windows) }
        let isChanged = rows.count < reduced.rows || columns.count < layer.weight.value.columns
        guard !isChanged || layer.product.parameters.isEmpty else {
            throw .outOfRange(
                what: "product of layer \(layer.name)", allowed: "one without parameters, such as FloatProduct",
                found: layer.product.parameters.map(\.name).joined(separator: ", "))
        }
        let weight = select(layer.weight, rows: rows, columns: columns)
        let offset = selectBias(layer, bias, rows: rows)
        resetToOutputs(of: index, keeping: rows, constants: removed)
        if let windows { return Conv2DLayer(layer.name, windows: windows, weight: weight, bias: offset, product: layer.product.copy()) }
        return DenseLayer(layer.name, weight: weight, bias: offset, product: layer.product.copy())
    }

    private mutating func resetToOutputs(of index: Int, keeping rows: [Int], constants: [Int: Float]) {
        (kept, self.constants, channels) = (rows, constants, network.shapes[index].channels)
    }

    /// Bias plus what the constants of removed inputs contribute; nil where there is neither.
    private func foldedBias(_ layer: any WeightedLayer, positions: Int) -> [Float]? {
        guard constants.values.contains(where: { $0 != 0 }) else { return layer.bias?.value.elements }
        let weight = layer.weight.value
        return (0..<weight.rows).map { row in
            var sum = Double(layer.bias?.value.pointer[row] ?? 0)
            for (channel, value) in constants.sorted(by: { $0.key < $1.key }) where value != 0 {
                for position in 0..<positions { sum += Double(weight.pointer[row * weight.columns + position * channels + channel]) * Double(value) }
            }
            return Float(sum)
        }
    }

    /// The outputs that can go, with the constants that they hold.
    private func removableOutputs(_ weight: Tensor, bias: [Float]?, behind index: Int) -> [Int: Float] {
        var removed: [Int: Float] = [:]
        for row in 0..<weight.rows
        where removed.count < weight.rows - 1 && ck_count_nonzero_f32(weight.pointer + row * weight.columns, weight.columns) == 0 {
            let constant = bias?[row] ?? 0
            if isRemovable(row, constant, behind: index) { removed[row] = constant }
        }
        return removed
    }

    private func isRemovable(_ channel: Int, _ constant: Float, behind index: Int) -> Bool {
        var constants = [channel: constant]
        var (shape, channels) = (network.shapes[index], network.shapes[index].channels)
        for later in (index + 1)..<max(index + 1, network.layers.count) {
            let layer = network.layers[later]
            if layer is DenseLayer { return true }
            if let layer = layer as? Conv2DLayer { return layer.windows.padding == 0 || constants.values.allSatisfy { $0 == 0 } }
            guard let passed = constants.mapConstants(through: layer, channels: channels) else { return false }
            constants = passed
            if layer is FlattenLayer {
                let positions = shape.height * shape.width, count = channels
                constants = [:]
                for position in 0..<positions { for (channel, value) in passed { constants[position * count + channel] = value } }
                channels = positions * count
            }
            shape = network.shapes[later]
        }
        return false
    }

    private func select(_ parameter: Parameter, rows: [Int], columns: [Int]) -> Parameter {
        let copy = Parameter(
            name: parameter.name, value: parameter.value.selecting(rows: rows, columns: columns), decays: parameter.decays)
        copy.mask = parameter.mask.flatMap { mask in
            var part = [UInt8](repeating: 0, count: rows.count * columns.count)
            ck_select_u8(mask, parameter.value.columns, rows.map(Int64.init), rows.count, columns.map(Int64.init), columns.count, &part)
            return Self.unlessFull(part)
        }
        return copy
    }

    private func selectBias(_ layer: any WeightedLayer, _ values: [Float]?, rows: [Int]) -> Parameter? {
        guard let values else { return nil }
        let tensor = Tensor(rows: 1, columns: rows.count)
        for (index, row) in rows.enumerated() { tensor.pointer[index] = values[row] }
        let bias = Parameter(name: layer.bias?.name ?? layer.name + ".bias", value: tensor, decays: layer.bias?.decays ?? false)
        // A masked bias that took a constant in is no longer 0: it is free.
        bias.mask = layer.bias?.mask.flatMap { mask in Self.unlessFull(rows.map { values[$0] == 0 ? mask[$0] : 1 }) }
        return bias
    }
}

extension [Int: Float] {
    /// What constant channels are behind `layer`, without training; nil where they are no longer constant or the layer is not known.
    fileprivate func mapConstants(through layer: any TrainableLayer, channels: Int) -> [Int: Float]? {
        switch layer {
        case is ReLULayer: return mapValues { Swift.max($0, 0) }
        case is FlattenLayer, is DropoutLayer, is MaxPoolLayer: return self
        case let layer as AveragePoolLayer: return layer.windows.padding == 0 || values.allSatisfy { $0 == 0 } ? self : nil
        case let layer as BatchNormLayer:
            let pairs = map { channel, value in
                let inverse = 1 / (layer.runningVariance.pointer[channel] + layer.epsilon).squareRoot()
                let normalized = (value - layer.runningMean.pointer[channel]) * inverse
                return (channel, normalized * layer.gamma.value.pointer[channel] + layer.beta.value.pointer[channel])
            }
            return Dictionary(uniqueKeysWithValues: pairs)
        default: return nil
        }
    }
}

extension Tensor {
    /// The elements at the given rows and columns.
    internal func selecting(rows: [Int], columns: [Int]) -> Tensor {
        let part = Tensor(rows: rows.count, columns: columns.count)
        ck_select_f32(
            pointer, self.columns, rows.map(Int64.init), rows.count, columns.map(Int64.init), columns.count, part.pointer)
        return part
    }
}
