import CompactNumerics
import ModelCompression
import Testing

@Suite struct PruningRemovalTests {
    @Test func removedUnitsMakeASmallerNetworkOfTheSameOutputs() throws {
        let network = try Small.mlp([6, 16, 12, 4]), inputs = try Small.inputs(20, 6)
        let report = try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, granularity: .units, scope: .layer)).prune()
        let small = try network.removingPrunedOutputs()
        #expect(small.weightedLayers.map(\.weight.value.rows) == [8, 6, 4])
        #expect(small.weightedLayers.map(\.weight.value.columns) == [6, 8, 6])
        #expect(small.weightedLayers.reduce(0) { $0 + $1.weight.value.count } == report.kept)
        #expect(small.parameters.allSatisfy { $0.mask == nil })
        expectClose(small.predict(inputs), network.predict(inputs))
    }

    /// Units without weights still give relu(bias).
    @Test func constantUnitsBecomePartOfTheNextBias() throws {
        let network = try Small.mlp([6, 8, 4]), inputs = try Small.inputs(20, 6)
        let layer = network.weighted("fc1")
        layer.weight.mask = (0..<48).map { $0 / 6 % 2 == 0 ? 0 : 1 }
        for unit in 0..<8 { layer.bias!.value[0, unit] = unit < 4 ? 2 : -1 }
        let small = try network.removingPrunedOutputs()
        #expect(small.weighted("fc1").weight.value.rows == 4)
        expectClose(small.predict(inputs), network.predict(inputs))
    }

    /// A masked bias that takes a constant in is free from then on, in its numbers and in training.
    @Test func maskedBiasesTakeConstantsIn() throws {
        let network = try Small.mlp([6, 8, 4]), inputs = try Small.inputs(20, 6), layer = network.weighted("fc1")
        layer.weight.mask = (0..<48).map { $0 / 6 == 3 ? 0 : 1 }
        layer.bias!.value[0, 3] = 2
        network.weighted("fc2").bias!.mask = [0, 0, 0, 1]
        let small = try network.removingPrunedOutputs()
        #expect(small.weighted("fc2").bias?.mask == nil && small.weighted("fc1").weight.value.rows == 7)
        expectClose(small.predict(inputs), network.predict(inputs))
    }

    @Test(arguments: [true, false]) func channelsThroughNormalizationPoolingAndFlatten(flattenFirst: Bool) throws {
        for granularity in [PruningGranularity.units, .channels] {
            let network = try Small.lenet5(flattenFirst: flattenFirst), inputs = try Small.inputs(10, 288)
            let report = try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, granularity: granularity, scope: .layer)).prune()
            let small = try network.removingPrunedOutputs()
            #expect(small.weightedLayers.map(\.weight.value.rows) == [3, 4, granularity == .units ? 5 : 10, 4])
            #expect(small.weightedLayers.reduce(0) { $0 + $1.weight.value.count } == report.kept)
            expectClose(small.predict(inputs), network.predict(inputs))
            expectClose(try small.deployed()(inputs), network.predict(inputs), tolerance: 1e-4)
        }
    }

    /// Only weights are masked: batch normalization makes constants of the filters, which a convolution without padding can take in.
    @Test(arguments: [0, 1]) func constantsOfFilters(padding: Int) throws {
        let network = try Small.lenet5(padding: padding), inputs = try Small.inputs(10, 288)
        for name in ["conv1", "conv2", "fc1"] {
            let weight = network.weighted(name).weight
            weight.mask = (0..<weight.value.count).map { $0 / weight.value.columns % 2 == 0 ? 0 : 1 }
        }
        for channel in 0..<6 { (network.layers[1] as! BatchNormLayer).beta.value[0, channel] = 0.7 }
        for channel in 0..<6 { (network.layers[1] as! BatchNormLayer).runningMean[0, channel] = 0 }
        let small = try network.removingPrunedOutputs()
        // In front of padding a constant other than 0 cannot be folded.
        #expect(small.weightedLayers.map(\.weight.value.rows) == [padding == 0 ? 3 : 6, 4, 5, 4])
        #expect(small.weighted("fc2").bias != nil)
        expectClose(small.predict(inputs), network.predict(inputs))
    }

    /// An epsilon that is as large as the variance: it counts in constants, in what stays, and in folding.
    @Test(arguments: [Float(1e-3), 0.25, 4]) func epsilonOfNormalizationCounts(epsilon: Float) throws {
        var generator = SeededGenerator(seed: 8)
        let normalization = BatchNormLayer("bn", channels: 6, momentum: 0.3, epsilon: epsilon)
        for channel in 0..<6 {
            normalization.runningVariance[0, channel] = epsilon * Float(0.5 + generator.uniform())
            normalization.runningMean[0, channel] = Float(generator.gaussian())
            normalization.beta.value[0, channel] = Float(generator.gaussian())
            normalization.gamma.value[0, channel] = Float(1 + generator.uniform())
        }
        let first = DenseLayer("fc1", inputs: 5, outputs: 6, generator: &generator)
        first.weight.mask = (0..<30).map { $0 / 5 % 2 == 0 ? 0 : 1 }
        for unit in 0..<6 { first.bias!.value[0, unit] = Float(1 + unit) }
        let network = try TrainableNetwork(
            inputShape: SampleShape(5), layers: [first, normalization, DenseLayer("fc2", inputs: 6, outputs: 3, generator: &generator)])
        let inputs = try Small.inputs(10, 5), small = try network.removingPrunedOutputs()
        #expect(small.weighted("fc1").weight.value.rows == 3)
        expectClose(small.predict(inputs), network.predict(inputs))
        expectClose(try network.foldingBatchNormalization().predict(inputs), network.predict(inputs))
        let copy = try #require(small.layers[1] as? BatchNormLayer)
        #expect(copy.epsilon == epsilon && copy.momentum == 0.3 && copy.channels == 3)
    }

    @Test func smallerNetworksTrainOn() throws {
        let network = try Small.lenet5(), data = try Small.data(24, shape: SampleShape(height: 12, width: 12, channels: 2))
        let trained = TrainerConfiguration(epochs: 1, batchSize: 8)
        try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, granularity: .units, scope: .layer)).prune()
        _ = try Trainer(network, data: data, configuration: trained).run()
        // Training did not wake anything up.
        let small = try network.removingPrunedOutputs()
        #expect(small.weightedLayers.reduce(0) { $0 + $1.weight.value.count } == PruningReport(network).kept)
        expectClose(small.predict(data.inputs), network.predict(data.inputs), tolerance: 1e-4)
        _ = try Trainer(small, data: data, configuration: trained).run()
    }

    @Test func allUnitsOfALayerLeaveOne() throws {
        let network = try Small.mlp([6, 8, 4]), inputs = try Small.inputs(5, 6)
        network.weighted("fc1").weight.mask = [UInt8](repeating: 0, count: 48)
        let small = try network.removingPrunedOutputs()
        #expect(small.weighted("fc1").weight.value.rows == 1)
        expectClose(small.predict(inputs), network.predict(inputs))
    }

    @Test func deployedSparseEqualsTheTrainedNetwork() throws {
        let data = try Small.data(24, shape: SampleShape(height: 12, width: 12, channels: 2))
        let choices: [(PruningGranularity, Set<String>, Double)] = [
            (.weights, [], 0.75), (.blocks(rows: 1, columns: 2), [], 0.75), (.nOfM(keep: 1, of: 2), [], 0.5), (.weights, ["conv1"], 1),
        ]
        for (granularity, excluded, sparsity) in choices {
            let network = try Small.lenet5()
            let configuration = PruningConfiguration(sparsity: sparsity, granularity: granularity, excludedLayers: excluded)
            _ = try Pruner(network, configuration: configuration).run(
                training: data, fineTuning: TrainerConfiguration(epochs: 1, batchSize: 8))
            let deployed = try Deployment(granularities: [granularity], minimumSparsity: 0).deploy(network)
            expectClose(deployed(data.inputs), network.predict(data.inputs), tolerance: 1e-4)
            #expect(deployed.layers.contains { $0 is SparseLinear })
        }
        for values in SparseValues.allCases {
            let network = try Small.mlp([8, 16, 8])
            try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, granularity: .nOfM(keep: 2, of: 4))).prune()
            let int8 = QuantizationConfiguration(format: .integer(.w8a8)), x = try Small.inputs(9, 8)
            let deployed = try Deployment(quantization: values == .int8 ? int8 : nil, granularities: [.nOfM(keep: 2, of: 4)]).deploy(network)
            #expect(deployed.layers.filter { $0 is NMSparseLinear }.count == 2)
            expectClose(deployed(x), network.predict(x), tolerance: values == .int8 ? 0.05 : 1e-4)
        }
        let network = try Small.mlp([8, 16, 8])
        try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, granularity: .blocks(rows: 4, columns: 4), scope: .layer)).prune()
        let deployed = try Deployment(granularities: [.blocks(rows: 4, columns: 4)], minimumSparsity: 0).deploy(network)
        let sparse = deployed.layers.compactMap { $0 as? SparseLinear }
        #expect(sparse.map(\.weight.shape.description) == ["4x4", "4x4"] && sparse.map(\.weight.blockCount) == [4, 4])
        expectClose(deployed(try Small.inputs(9, 8)), network.predict(try Small.inputs(9, 8)))
        #expect(try Deployment(minimumSparsity: 0.6).deploy(network).layers.allSatisfy { !($0 is SparseLinear) })
    }
}
