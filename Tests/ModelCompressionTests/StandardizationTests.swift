import CompactNumerics
import Foundation
@testable import ModelCompression
import ModelFiles
import Testing

@Suite struct StandardizationTests {
    private static let quick = TrainerConfiguration(epochs: 40, batchSize: 32, learningRate: 1e-2, seed: 4)

    private func network(_ data: LabelledData) throws -> TrainableNetwork {
        try TrainableNetwork.mlp([data.inputs.columns, 24, 16, data.classes], seed: 2).standardizingInputs(of: data)
    }

    /// float64 formulas over each scope, on images of two channels whose numbers are of unlike size.
    @Test(arguments: Standardization.Scope.allCases) func equalsItsFormula(scope: Standardization.Scope) throws {
        var generator = SeededGenerator(seed: 3)
        let noise = generator.tensor(40, 24)
        let inputs = Matrix(rows: 40, columns: 24) { row, column in
            column == 7 ? 0.1 : noise[row, column] * (column % 2 == 0 ? 1e-4 : 3e3) + Float(column)
        }
        let shape = SampleShape(height: 3, width: 4, channels: 2)
        let data = try LabelledData(inputs: inputs, labels: [Int](repeating: 0, count: 40), classes: 1, shape: shape)
        let standardization = try Standardization(data, per: scope)
        let period = [Standardization.Scope.channel: 2, .feature: 24, .all: 1][scope]!
        #expect(standardization.means.count == period)
        let result = data.standardized(standardization).inputs
        for part in 0..<period {
            let places = (0..<40).flatMap { row in stride(from: part, to: 24, by: period).map { (row, $0) } }
            let values = places.map { Double(inputs[$0.0, $0.1]) }, mean = values.reduce(0, +) / Double(values.count)
            let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
            #expect(abs(Double(standardization.means[part]) - mean) <= 1e-6 * max(abs(mean), deviation))
            let isConstant = scope == .feature && part == 7
            #expect(isConstant ? standardization.deviations[part] == 0 : abs(Double(standardization.deviations[part]) / deviation - 1) < 1e-6)
            for ((row, column), value) in zip(places, values) {
                // The offset, mean / deviation, is rounded to float32.
                let bound = 4e-7 * (abs(mean) / max(deviation, 1e-30) + abs(value - mean) / max(deviation, 1e-30) + 1)
                #expect(isConstant ? result[row, column] == 0 : abs(Double(result[row, column]) - (value - mean) / deviation) < bound)
            }
        }
    }

    /// Multiplied by a power of two, in or out of the reach of squares in float32, numbers are standardized to the same bits.
    @Test(arguments: [-60, -30, 30, 60, 100]) func scalesWithTheNumbers(exponent: Int) throws {
        let data = try UnlikeFeatures.data(50, seed: 2), factor = Float(sign: .plus, exponent: exponent, significand: 1)
        let scaled = try LabelledData(
            inputs: Matrix(rows: 50, columns: 8) { data.inputs[$0, $1] * factor }, labels: data.labels, classes: 4, shape: data.shape)
        #expect(try scaled.standardized(Standardization(scaled)).inputs == data.standardized(Standardization(data)).inputs)
    }

    @Test func constantsAndSubnormalNumbersBecomeZero() throws {
        for (values, isUsed) in [
            ([0.1, 0.1, 0.1], false), ([-3e38, -3e38, -3e38], false), ([0, 0x1p-146, 0x1p-148], false), ([-3e38, 3e38, 0], true),
            ([0, 1e-37, 0], true),
        ] as [([Float], Bool)] {
            let data = try LabelledData(inputs: Matrix(rows: 3, columns: 1, elements: values), labels: [0, 1, 0], classes: 2, shape: SampleShape(1))
            let result = data.standardized(try Standardization(data)).inputs
            #expect((0..<3).allSatisfy { result[$0, 0].isFinite } && (0..<3).contains { result[$0, 0] != 0 } == isUsed, "\(values)")
            // A constant stays without influence where it is another number.
            let other = try LabelledData(inputs: Matrix(rows: 1, columns: 1, elements: [1e30]), labels: [0], classes: 2, shape: SampleShape(1))
            if !isUsed { #expect(other.standardized(try Standardization(data)).inputs[0, 0] == 0) }
        }
        let none = try LabelledData(inputs: Matrix(rows: 0, columns: 1), labels: [], classes: 2, shape: SampleShape(1))
        #expect(throws: CompressionError.self) { try Standardization(none) }
        #expect(throws: CompressionError.self) { try Standardization(means: [1], deviations: []) }
        #expect(throws: CompressionError.self) { try Standardization(means: [], deviations: []) }
        #expect(throws: CompressionError.self) { try Standardization(means: [.nan], deviations: [1]) }
        #expect(throws: CompressionError.self) { try Standardization(means: [0], deviations: [-1]) }
        let sound = try Standardization(means: [1, 2], deviations: [0, 3])
        #expect(try JSONDecoder().decode(Standardization.self, from: JSONEncoder().encode(sound)) == sound)
        #expect(throws: (any Error).self) { try JSONDecoder().decode(Standardization.self, from: Data(#"{"means":[1],"deviations":[-1]}"#.utf8)) }
    }

    /// Training behind the layer on raw numbers gives the bits of training on standardized ones, and so does the deployed network.
    @Test func theLayerIsStandardizedData() throws {
        let data = try UnlikeFeatures.data(300, seed: 5), network = try network(data)
        let standardized = data.standardized(try Standardization(data)), plain = try TrainableNetwork.mlp([8, 24, 16, 4], seed: 2)
        let history = try Trainer(network, data: data, configuration: Self.quick).run()
        #expect(try Trainer(plain, data: standardized, configuration: Self.quick).run() == history)
        #expect(network.parameters.map(\.value.elements) == plain.parameters.map(\.value.elements))
        #expect(try network.deployed()(data.inputs) == plain.deployed()(standardized.inputs))
        let accuracy = try evaluate(network, data)
        #expect(accuracy > 0.95)
        #expect(throws: CompressionError.self) { try network.standardizingInputs(of: data) }
        #expect(throws: CompressionError.self) { try plain.standardizingInputs(of: data.prefix(0)) }
    }

    /// Per feature a network learns what it cannot learn with one mean for the whole table.
    @Test func featuresOfUnlikeSizesNeedTheirOwnMeans() throws {
        let (training, test) = try UnlikeFeatures.data(600, seed: 6).split(seed: 1)
        let accuracies = try [Standardization.Scope.channel, .all].map { scope in
            let network = try TrainableNetwork.mlp([8, 24, 16, 4], seed: 2).standardizingInputs(of: training, per: scope)
            _ = try Trainer(network, data: training, configuration: Self.quick).run()
            return try evaluate(network.deployed(), test)
        }
        #expect(accuracies[0] > 0.9 && accuracies[1] < accuracies[0] - 0.2, "\(accuracies)")
    }

    /// Raw features of 1e4 and more are infinite in FP16, those of 1e-9 zero: only what the layer makes of them is rounded.
    @Test(arguments: [Arithmetic.fp16, .bf16, .tf32]) func reducedArithmeticBeginsBehindTheLayer(arithmetic: Arithmetic) throws {
        let small = try UnlikeFeatures.data(400, seed: 7)
        let data = try LabelledData(
            inputs: Matrix(rows: 400, columns: 8) { small.inputs[$0, $1] * ($1 % 2 == 0 ? 1e-7 : 1e5) }, labels: small.labels, classes: 4,
            shape: small.shape)
        let network = try network(data)
        var configuration = Self.quick
        (configuration.arithmetic, configuration.lossScaling) = (arithmetic, arithmetic == .fp16 ? .dynamic : .none)
        _ = try Trainer(network, data: data, configuration: configuration).run()
        #expect(try evaluate(network, data, arithmetic: arithmetic) > 0.95)
        let rounded = network.output(ofLayer: 0).copy(), expected = rounded.elements
        arithmetic.round(rounded)
        #expect(rounded.elements == expected)
    }

    // MARK: - With the network

    @Test func checkpointsAndWeightFilesKeepIt() throws {
        let data = try UnlikeFeatures.data(300, seed: 8)
        let whole = try network(data), other = try network(UnlikeFeatures.data(40, seed: 99))
        let expected = try Trainer(whole, data: data, configuration: Self.quick).run()
        try withTemporaryFile { path in
            let first = try Trainer(network(data), data: data, configuration: Self.quick, checkpointPath: path)
            _ = try first.run { if $0.step == 25 { first.stop() } }
            let second = try Trainer(other, data: data, configuration: Self.quick)
            try second.resume(from: path)
            #expect(try second.run() == expected)
            #expect(other.bits == whole.bits)
        }
        try withTemporaryFile { path in
            try whole.saveWeights(to: path)
            let loaded = try network(UnlikeFeatures.data(40, seed: 98))
            #expect(loaded.bits != whole.bits)
            try loaded.loadWeights(from: path)
            #expect(loaded.bits == whole.bits && loaded.copy().bits == whole.bits)
            let snapshot = NetworkSnapshot(loaded)
            loaded.reinitialize(seed: 3)
            #expect(loaded.layers[0].statistics.map(\.values.elements) == whole.layers[0].statistics.map(\.values.elements))
            try snapshot.restore(loaded)
            #expect(loaded.bits == whole.bits)
        }
    }

    @Test func deployedFilesTakeRawFeatures() throws {
        let data = try UnlikeFeatures.data(300, seed: 9), network = try network(data)
        _ = try Trainer(network, data: data, configuration: Self.quick).run()
        for format in ["float32", "f16", "w8a8", "w4a8-channel"] {
            let configuration = QuantizationConfiguration(
                format: try WeightFormat(named: format), activations: format.hasPrefix("w") ? .static : .dynamic)
            let deployed = try Deployment(quantization: configuration).deploy(network, data: data)
            #expect(try evaluate(deployed, data) > 0.9, "\(format)")
            try withTemporaryFile { path in
                try DeployedModel.write(deployed, to: path)
                #expect(try DeployedModel.read(from: path)(data.inputs) == deployed(data.inputs), "\(format)")
            }
        }
    }

    /// Pruned units behind the layer, batch normalization and convolutions: what is removed and folded gives the same outputs.
    @Test(arguments: Standardization.Scope.allCases) func outputsAreRemovedAndFoldedBehindIt(scope: Standardization.Scope) throws {
        let data = try LabelledData.digits(.training).prefix(400)
        let network = try TrainerTests.network().standardizingInputs(of: data, per: scope)
        _ = try Trainer(network, data: data, configuration: TrainerTests.configuration).run()
        let pruning = PruningConfiguration(sparsity: 0.5, granularity: .channels, scope: .layer, excludedLayers: ["fc2"])
        try Pruner(network, configuration: pruning).prune()
        let small = try network.removingPrunedOutputs(), folded = try small.foldingBatchNormalization()
        #expect(small.layers[0] is StandardizationLayer && folded.layers[0] is StandardizationLayer)
        #expect(folded.layers.count == network.layers.count - 2)
        let y = network.predict(data.inputs), deployed = try folded.deployed()(data.inputs)
        for candidate in [small.predict(data.inputs), folded.predict(data.inputs), deployed] {
            let largest = (0..<400).flatMap { row in (0..<10).map { abs(candidate[row, $0] - y[row, $0]) } }.max()!
            #expect(largest < 1e-3)
        }
    }

    /// A recipe with every kind of step, killed and resumed in between, ends in a network that takes raw features.
    @Test func recipesRunBehindIt() throws {
        let text = """
            {"steps": [{"train": {"epochs": 12, "batchSize": 32, "learningRate": 3e-3}},
              {"prune": {"ratio": 2, "fineTuning": {"epochs": 3, "batchSize": 32}}}, {"removePrunedOutputs": {}},
              {"foldBatchNormalization": {}}, {"distil": {"training": {"epochs": 3, "batchSize": 32}}},
              {"trainQuantized": {"format": "w4a8-channel", "training": {"epochs": 3, "batchSize": 32}}}]}
            """
        let (training, test) = try UnlikeFeatures.data(500, seed: 10).split()
        let folder = NSTemporaryDirectory() + "standardization-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let recipe = try CompressionRecipe(json: Data(text.utf8))
        var runs: [CompressionRun] = []
        for directory in [nil, folder, folder] {
            let run = try CompressionRun(recipe, network: network(training), training: training, test: test, directory: directory)
            let report = try run.run { progress in if runs.count == 1, progress.step == 4 { run.stop() } }
            #expect((report == nil) == (runs.count == 1))
            if let report { #expect(report.accuracyAfter > 0.85 && report.accuracyBefore > 0.9, "\(report)") }
            runs.append(run)
        }
        #expect(runs[2].network.bits == runs[0].network.bits)
        let deployed = try #require(runs[0].deployed)
        #expect(deployed.layers[0] is ScaleShift)
        // Training's integers are those of the deployed network.
        #expect(runs[0].network.predict(test.inputs) == deployed(test.inputs))
    }
}
