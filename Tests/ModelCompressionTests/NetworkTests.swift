import CompactNumerics
import Foundation
import ModelFiles
@testable import ModelCompression
import Testing

@Suite struct NetworkTests {
    @Test func sizesOfTheFactories() throws {
        #expect(try TrainableNetwork.lenet300100().parameterCount == 266_610)
        #expect(try TrainableNetwork.lenet5().parameterCount == 61_706)
        #expect(try TrainableNetwork.mlp([784, 30, 10]).parameterCount == 23_860)
        #expect(throws: CompressionError.self) { try TrainableNetwork.mlp([5]) }
        #expect(try TrainableNetwork.lenet5(seed: 1).bits == TrainableNetwork.lenet5(seed: 1).bits)
        #expect(try TrainableNetwork.lenet5(seed: 1).bits != TrainableNetwork.lenet5(seed: 2).bits)
    }

    @Test func shapesThatDoNotFit() throws {
        var generator = SeededGenerator(seed: 1)
        let dense = DenseLayer("fc", inputs: 5, outputs: 2, generator: &generator)
        #expect(throws: CompressionError.shapeMismatch(what: "inputs of layer fc", expected: "5", found: "6 (6)")) {
            try TrainableNetwork(inputShape: SampleShape(6), layers: [dense])
        }
        #expect(throws: CompressionError.self) { try TrainableNetwork(inputShape: SampleShape(5), layers: []) }
        #expect(throws: CompressionError.self) {
            try TrainableNetwork(inputShape: SampleShape(5), layers: [dense, ReLULayer("fc")])
        }
        #expect(throws: CompressionError.self) {
            try TrainableNetwork(inputShape: SampleShape(12), layers: [MaxPoolLayer("pool", windows: windows(2, 2, 3, window: (2, 2)))])
        }
        #expect(throws: NumericsError.self) { try windows(2, 2, 1, window: (3, 3)) }
        #expect(throws: NumericsError.self) { try windows(2, 2, 1, window: (2, 2), padding: 2) }
        #expect(throws: NumericsError.self) { try windows(2, 2, 1, window: (2, 2), stride: 0) }
    }

    /// A small network with all layers, after a step of training so that running statistics are no defaults.
    private func everything() throws -> TrainableNetwork {
        var generator = SeededGenerator(seed: 5)
        let network = try TrainableNetwork(
            inputShape: SampleShape(height: 9, width: 8, channels: 2),
            layers: [
                Conv2DLayer("conv", windows: windows(9, 8, 2, window: (3, 2), stride: 2, padding: 1), outputChannels: 5, generator: &generator),
                ReLULayer("relu"), BatchNormLayer("bn", channels: 5), MaxPoolLayer("max", windows: windows(5, 5, 5, window: (2, 2))),
                AveragePoolLayer("average", windows: windows(4, 4, 5, window: (3, 3), stride: 2, padding: 1)), FlattenLayer("flatten"),
                DropoutLayer("drop", rate: 0.5), DenseLayer("fc1", inputs: 20, outputs: 12, generator: &generator),
                ReLULayer("relu2"), DenseLayer("fc2", inputs: 12, outputs: 4, hasBias: false, generator: &generator),
            ])
        let data = try generator.data(64, shape: network.inputShape, classes: 4)
        _ = try Trainer(network, data: data, configuration: TrainerConfiguration(epochs: 2, batchSize: 32)).run()
        return network
    }

    @Test func theDeployedNetworkComputesTheSame() throws {
        let network = try everything()
        var generator = SeededGenerator(seed: 6)
        let x = generator.tensor(17, 144).matrix
        let deployed = try network.deployed()
        let expected = network.predict(x), found = deployed(x)
        for row in 0..<17 {
            for column in 0..<4 { #expect(abs(expected[row, column] - found[row, column]) <= 1e-5 * (1 + abs(expected[row, column]))) }
        }
        // Without batch norm the same operations in the same order: the same bits. Twice through one workspace.
        let lenet = try TrainableNetwork.lenet5(), images = generator.tensor(3, 784).matrix
        let layers = try lenet.deployed()
        var workspace = Workspace(), y = Matrix(rows: 3, columns: 10)
        for _ in 0..<2 {
            layers.apply(images, into: &y, workspace: &workspace, parallelism: .serial)
            for index in 0..<30 { #expect(abs(y[index / 10, index % 10] - lenet.predict(images)[index / 10, index % 10]) < 1e-5) }
        }
        #expect(layers.layers.count == 7, "ReLU is part of the layer before it")
    }

    @Test func chosenLayersAreDeployed() throws {
        let network = try TrainableNetwork.lenet5()
        var names: [String] = []
        let deployed = try network.deployed { layer, linear in
            names.append(layer.name)
            return layer is DenseLayer ? try QuantizedLinear(linear, scheme: QuantizationScheme(named: "w8a8")) : linear
        }
        #expect(names == ["conv1", "conv2", "fc1", "fc2", "fc3"])
        #expect(deployed.byteCount < 61_706 * 4 / 2)
    }

    @Test func copiesShareNothing() throws {
        let network = try everything()
        network.weightedLayers[1].weight.mask = [UInt8](repeating: 1, count: 240)
        let copy = network.copy(), bits = network.bits
        #expect(copy.bits == bits && copy.fingerprint == network.fingerprint && copy.weightedLayers[1].weight.mask?.count == 240)
        for parameter in copy.parameters { parameter.value.fill(3) }
        #expect(network.bits == bits)
    }

    @Test func weightsGoThroughAFile() throws {
        let network = try everything(), other = network.copy()
        for parameter in other.parameters { parameter.value.fill(0) }
        try withTemporaryFile { path in
            try network.saveWeights(to: path)
            #expect(try SafetensorsFile(path: path).tensor(named: "fc1.bias").shape == [12])
            try other.loadWeights(from: path)
            #expect(other.bits == network.bits)
            #expect(throws: CompressionError.self) { try TrainableNetwork.mlp([3, 2]).loadWeights(from: path) }
            #expect(throws: CompressionError.self) { try other.loadWeights(from: path + "x") }
            network.parameters[0].value[0, 0] = .infinity
            try network.saveWeights(to: path)
            #expect(throws: CompressionError.self) { try other.loadWeights(from: path) }
        }
    }

    @Test(arguments: [Arithmetic.fp16, .bf16, .tf32]) func reducedArithmeticRoundsWhatItMust(arithmetic: Arithmetic) throws {
        var generator = SeededGenerator(seed: 7)
        let network = try TrainableNetwork.mlp([20, 30, 5], seed: 3)
        let values = generator.tensor(1, 3000), rounded = values.copy()
        arithmetic.round(rounded)
        for (x, y) in zip(values.elements, rounded.elements) {
            let expected =
                switch arithmetic {
                case .fp16: FP16(x).floatValue
                case .bf16: BF16(x).floatValue
                case .tf32: TF32(x).floatValue
                case .float32: x
                }
            #expect(y.bitPattern == expected.bitPattern)
        }
        let x = generator.tensor(6, 20), original = x.elements, masters = network.bits
        let context = TrainingContext(isTraining: true, arithmetic: arithmetic)
        let y = network.forward(x, context: context)
        network.backward(generator.tensor(6, 5), context: context)
        #expect(x.elements == original && network.bits == masters)
        for tensor in [y] + network.parameters.map(\.gradient) {
            let again = tensor.copy()
            arithmetic.round(again)
            #expect(again.elements == tensor.elements)
        }
    }
}

@Suite struct LabelledDataTests {
    @Test func wrongDataIsNamed() throws {
        let inputs = Matrix(rows: 2, columns: 3), shape = SampleShape(3)
        #expect(throws: CompressionError.shapeMismatch(what: "labels", expected: "one for each of 2 samples", found: "1")) {
            try LabelledData(inputs: inputs, labels: [0], classes: 2, shape: shape)
        }
        #expect(throws: CompressionError.outOfRange(what: "label of sample 1", allowed: "0…1", found: "2")) {
            try LabelledData(inputs: inputs, labels: [0, 2], classes: 2, shape: shape)
        }
        #expect(throws: CompressionError.shapeMismatch(what: "numbers of a sample", expected: "4 (4)", found: "3")) {
            try LabelledData(inputs: inputs, labels: [0, 1], classes: 2, shape: SampleShape(4))
        }
        #expect(throws: CompressionError.notFinite(what: "samples", row: 1, column: 0)) {
            try LabelledData(inputs: Matrix(rows: 2, columns: 3) { $0 == 1 && $1 == 0 ? .nan : 0 }, labels: [0, 1], classes: 2, shape: shape)
        }
        let data = try LabelledData(inputs: inputs, labels: [0, 1], classes: 2, shape: shape)
        #expect(throws: CompressionError.self) { try evaluate(.mlp([4, 2]), data) }
        #expect(throws: CompressionError.self) { try Trainer(.mlp([3, 3]), data: data, configuration: TrainerConfiguration()) }
        #expect(throws: CompressionError.self) { try Trainer(.mlp([3, 2]), data: data.prefix(0), configuration: TrainerConfiguration()) }
    }

    @Test func digitsAreWhole() throws {
        let training = try LabelledData.digits(.training), test = try LabelledData.digits(.test)
        #expect(training.count == 1437 && test.count == 360 && training.shape.count == 64)
        // Sum of all pixels, of scikit-learn's copy: 1797 images of mean 4.884.
        let sum = [training, test].reduce(0) { sum, data in data.inputs.withUnsafeBufferPointer { $0.reduce(sum) { $0 + Double($1) * 16 } } }
        #expect(sum == 561_718)
        #expect(Set(test.labels).count == 10 && training.prefix(3).labels == Array(training.labels[..<3]))
    }
}
