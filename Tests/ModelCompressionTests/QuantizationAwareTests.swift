import CompactNumerics
import Foundation
@testable import ModelCompression
import Testing

@Suite struct QuantizationAwareTests {
    static let formats = [
        "w8a8", "w8a7", "w4a8-channel", "w3a8-channel", "w3a8-tensor", "w2a8-channel", "ternary-tensor", "w1a8-channel", "w4a8-tensor",
    ]

    /// Contract 5: the deployed network has the integers of training, and so the same bits for every sample of the test set.
    @Test(arguments: formats, [ActivationScales.dynamic, .static, .staticSymmetric])
    func theDeployedNetworkGivesTheSameBits(name: String, activations: ActivationScales) throws {
        let (train, test) = (try LabelledData.digits(.training), try LabelledData.digits(.test))
        let network = try TrainableNetwork.mlp([64, 40, 10], seed: 2)
        _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: 4, batchSize: 50, learningRate: 5e-3)).run()
        let configuration = QuantizationConfiguration(format: try WeightFormat(named: name), activations: activations)
        try network.prepareQuantizationAwareTraining(configuration, data: train)
        _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: 3, batchSize: 50, learningRate: 2e-3)).run()
        let deployed = try Deployment().deploy(network), simulated = network.predict(test.inputs), found = deployed(test.inputs)
        for row in 0..<test.count { for column in 0..<10 { #expect(simulated[row, column].bitPattern == found[row, column].bitPattern) } }
        let accuracy = try evaluate(deployed, test)
        #expect(try evaluate(network, test) == accuracy)
        #expect(accuracy > (name.hasPrefix("w1") || name.hasPrefix("tern") ? 0.8 : 0.88), "\(name) \(activations): \(accuracy)")
        #expect(deployed.layers.allSatisfy { $0 is QuantizedLinear })
    }

    @Test func convolutionsGiveTheSameBits() throws {
        var generator = SeededGenerator(seed: 4)
        let network = try TrainableNetwork(
            inputShape: SampleShape(height: 8, width: 8, channels: 1),
            layers: [
                Conv2DLayer("conv", windows: windows(8, 8, 1, window: (3, 3), padding: 1), outputChannels: 6, generator: &generator),
                ReLULayer("relu"),
                MaxPoolLayer("pool", windows: windows(8, 8, 6, window: (2, 2), stride: 2)), FlattenLayer("flatten"),
                DenseLayer("fc", inputs: 96, outputs: 10, generator: &generator),
            ])
        let (train, test) = (try LabelledData.digits(.training), try LabelledData.digits(.test))
        try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w4a8)))
        _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: 10, batchSize: 50, learningRate: 1e-2)).run()
        let simulated = network.predict(test.inputs), found = try Deployment().deploy(network)(test.inputs)
        for row in 0..<test.count { for column in 0..<10 { #expect(simulated[row, column].bitPattern == found[row, column].bitPattern) } }
        let accuracy = try evaluate(network, test)
        #expect(accuracy > 0.85)
    }

    /// With batch normalization between the layers, left as a layer or folded before: predictions are those of training on the whole test set, and a
    /// `Quantizer` converts what was trained instead of quantizing anew.
    @Test(arguments: [false, true]) func batchNormalizationBetweenTheLayers(isFolded: Bool) throws {
        var generator = SeededGenerator(seed: 9)
        var network = try TrainableNetwork(
            inputShape: SampleShape(height: 8, width: 8, channels: 1),
            layers: [
                FlattenLayer("flatten"), DenseLayer("fc1", inputs: 64, outputs: 40, generator: &generator), BatchNormLayer("norm", channels: 40),
                ReLULayer("relu"), DenseLayer("fc2", inputs: 40, outputs: 10, generator: &generator),
            ])
        let (train, test) = (try LabelledData.digits(.training), try LabelledData.digits(.test))
        func fit(epochs: Int) throws {
            _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: epochs, batchSize: 50, learningRate: 5e-3)).run()
        }
        try fit(epochs: 4)
        if isFolded { network = try network.foldingBatchNormalization() }
        let configuration = QuantizationConfiguration(format: .integer(.w4a8))
        try network.prepareQuantizationAwareTraining(configuration)
        try fit(epochs: 3)
        let deployed = try Deployment().deploy(network), simulated = network.predict(test.inputs), found = deployed(test.inputs)
        let again = try Deployment(quantization: configuration).deploy(network, data: train)(test.inputs)
        for row in 0..<test.count {
            func best(_ outputs: Matrix) -> Int { (0..<10).max { outputs[row, $0] < outputs[row, $1] }! }
            #expect(best(simulated) == best(found))
            for column in 0..<10 {
                #expect(again[row, column].bitPattern == found[row, column].bitPattern)
                if isFolded { #expect(simulated[row, column].bitPattern == found[row, column].bitPattern) }
            }
        }
        #expect(try evaluate(deployed, test) > 0.88)
        #expect(deployed.layers.contains { $0 is ScaleShift } == !isFolded)
    }

    /// Sums beyond 2²⁴ take the way through int32: all weights 127, all activations 255.
    @Test func sumsBeyondFloatPrecisionAreExact() throws {
        let (k, n) = (1500, 3)
        let weight = Parameter(name: "w", value: Tensor(Matrix(rows: n, columns: k) { _, _ in 1 }), decays: true)
        let product = try QuantizedTrainingProduct(layer: "fc", weight: weight, format: .integer(.w8a8))
        let x = Tensor(Matrix(rows: 2, columns: k) { row, column in row == 0 && column == 7 ? 0.5 : 1 }), y = Tensor(rows: 2, columns: n)
        product.forward(x, weight: weight, bias: nil, output: y, context: TrainingContext())
        let layer = DenseLayer("fc", weight: weight, bias: nil, product: product)
        let found = try product.deployed(layer, Linear(weight: weight.value.matrix))(x.matrix)
        for row in 0..<2 { for column in 0..<n { #expect(y[row, column].bitPattern == found[row, column].bitPattern) } }
    }

    /// The straight-through and LSQ gradients by their formulas, from the gradient of a plain product of the fake-quantized numbers.
    @Test(arguments: ["w4a8-channel", "w2a8-tensor", "w1a8-channel"]) func gradientsFollowTheirFormulas(name: String) throws {
        var generator = SeededGenerator(seed: 6)
        let format = try WeightFormat(named: name), (m, k, n) = (5, 9, 3)
        let weight = Parameter(name: "w", value: generator.tensor(n, k), decays: true), x = generator.tensor(m, k), dy = generator.tensor(m, n)
        let product = try QuantizedTrainingProduct(layer: "fc", weight: weight, format: format)
        let (y, dx) = (Tensor(rows: m, columns: n), Tensor(rows: m, columns: k))
        product.forward(x, weight: weight, bias: nil, output: y, context: TrainingContext())
        product.backward(dy, input: x, weight: weight, bias: nil, inputGradient: dx, context: TrainingContext())
        let isShared = product.logScales.value.count == 1, low = Double(format.codes.lowerBound), high = Double(format.codes.upperBound)
        var scaleGradients = [Double](repeating: 0, count: isShared ? 1 : n)
        for row in 0..<n {
            let scale = Double(exp(product.logScales.value.pointer[isShared ? 0 : row]))
            for column in 0..<k {
                let w = Double(weight.value[row, column]), v = w / scale
                let code = format.isBinary ? (w >= 0 ? 1 : -1) : max(low, min(high, v.rounded(.toNearestOrEven)))
                let upstream = (0..<m).reduce(0.0) { $0 + Double(dy[$1, row]) * fakeInput(x, $1, column) }
                let isInside = v > low && v < high
                #expect(abs(Double(weight.gradient[row, column]) - (isInside ? upstream : 0)) < 1e-4)
                scaleGradients[isShared ? 0 : row] += upstream * (isInside ? code - v : code) * scale
            }
        }
        let count = Double(isShared ? n * k : k)
        for (index, expected) in scaleGradients.enumerated() {
            let factor = 1 / (count * max(1, high)).squareRoot()
            #expect(abs(Double(product.logScales.gradient.pointer[index]) - expected * factor) < 1e-4)
        }
        let fakeWeight = try product.deployed(DenseLayer("fc", weight: weight, bias: nil), Linear(weight: weight.value.matrix)).denseWeight()
        for row in 0..<m {
            for column in 0..<k {
                let expected = (0..<n).reduce(0.0) { $0 + Double(dy[row, $1]) * Double(fakeWeight[$1, column]) }
                #expect(abs(Double(dx[row, column]) - expected) < 1e-4)
            }
        }
    }

    /// The gradient of a static input scale by its formula, with and without a gradient for a layer in front; zero points stay, scales move.
    @Test func inputScalesAreLearned() throws {
        var generator = SeededGenerator(seed: 16)
        let (m, k, n) = (6, 11, 4), zero = 100, scale = 0.01
        let weight = Parameter(name: "w", value: generator.tensor(n, k), decays: true), x = generator.tensor(m, k), dy = generator.tensor(m, n)
        let product = try QuantizedTrainingProduct(
            layer: "fc", weight: weight, format: .integer(.w8a8), inputQuantization: .fixed(scale: Float(scale), zeroPoint: zero))
        let y = Tensor(rows: m, columns: n), dx = Tensor(rows: m, columns: k)
        product.forward(x, weight: weight, bias: nil, output: y, context: TrainingContext())
        product.backward(dy, input: x, weight: weight, bias: nil, inputGradient: dx, context: TrainingContext())
        let fakeWeight = try product.deployed(DenseLayer("fc", weight: weight, bias: nil), Linear(weight: weight.value.matrix)).denseWeight()
        var expected = 0.0
        for row in 0..<m {
            for column in 0..<k {
                let upstream = (0..<n).reduce(0.0) { $0 + Double(dy[row, $1]) * Double(fakeWeight[$1, column]) }
                let v = Double(x[row, column]) / scale, code = max(Double(-zero), min(Double(255 - zero), v.rounded(.toNearestOrEven)))
                let isInside = v > Double(-zero) - 0.5 && v < Double(255 - zero) + 0.5
                #expect(abs(Double(dx[row, column]) - (isInside ? upstream : 0)) < 1e-4)
                expected += upstream * (isInside ? code - v : code) * scale
            }
        }
        let found = try #require(product.logInputScale).gradient.pointer[0]
        #expect(abs(Double(found) - expected / (Double(k) * 255).squareRoot()) < 1e-4)
        product.backward(dy, input: x, weight: weight, bias: nil, inputGradient: nil, context: TrainingContext())
        #expect(product.logInputScale?.gradient.pointer[0] == found)

        let train = try LabelledData.digits(.training), network = try TrainableNetwork.mlp([64, 20, 10], seed: 2)
        try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w4a8), activations: .static), data: train)
        let products = network.weightedLayers.compactMap { $0.product as? QuantizedTrainingProduct }, before = products.map(\.inputQuantization)
        _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: 2, batchSize: 50, learningRate: 2e-3)).run()
        for (product, before) in zip(products, before) {
            guard case (.fixed(let old, let oldZero), .fixed(let new, let newZero)) = (before, product.inputQuantization) else {
                Issue.record("dynamic")
                continue
            }
            #expect(old != new && abs(new / old - 1) < 0.5 && oldZero == newZero)
        }
    }

    // By the documented rule of dynamic activations.
    private func fakeInput(_ x: Tensor, _ row: Int, _ column: Int) -> Double {
        let values = (0..<x.columns).map { x[row, $0] }, low = min(values.min()!, 0), high = max(values.max()!, 0)
        let scale = (high - low) / 255, zero = (-low * (1 / scale)).rounded(.toNearestOrEven)
        let code = min(max((x[row, column] * (1 / scale)).rounded(.toNearestOrEven) + zero, 0), 255)
        return Double(scale * (code - zero))
    }

    @Test func checkpointsHoldLearnedScales() throws {
        let train = try LabelledData.digits(.training).prefix(300)
        func prepared() throws -> TrainableNetwork {
            let network = try TrainableNetwork.mlp([64, 20, 10], seed: 2)
            try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w2a8)))
            return network
        }
        let configuration = TrainerConfiguration(epochs: 2, batchSize: 50, learningRate: 5e-3)
        let whole = try prepared()
        _ = try Trainer(whole, data: train, configuration: configuration).run()
        try withTemporaryFile { path in
            let first = try Trainer(prepared(), data: train, configuration: configuration, checkpointPath: path)
            _ = try first.run { if $0.step == 7 { first.stop() } }
            let second = try Trainer(prepared(), data: train, configuration: configuration)
            try second.resume(from: path)
            _ = try second.run()
            #expect(second.network.bits == whole.bits)
        }
    }

    @Test func wrongRequestsAreNamed() throws {
        let network = try TrainableNetwork.mlp([64, 32, 10])
        for format in ["w4a8-g32", "w1a1-channel"] {
            #expect(throws: CompressionError.self) {
                try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: WeightFormat(named: format)))
            }
        }
        #expect(throws: CompressionError.self) {
            try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w8a8), activations: .none))
        }
        #expect(throws: CompressionError.self) {
            try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w8a8), activations: .static))
        }
        network.weighted("fc1").weight.mask = (0..<64 * 32).map { $0 % 2 == 0 ? 1 : 0 }
        #expect(throws: CompressionError.self) { try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w1a8))) }
        #expect(network.weightedLayers.allSatisfy { $0.product is FloatProduct })
    }
}
