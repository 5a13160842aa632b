import CompactNumerics
@testable import ModelCompression
import Testing

/// The one door to a deployed network.
@Suite struct DeploymentTests {
    /// A network on samples that can be learned, pruned to a share of each layer.
    private func pruned(
        _ sparsity: Double, _ granularity: PruningGranularity = .weights, widths: [Int] = [48, 24, 24, 12], seed: UInt64 = 5
    ) throws -> (network: TrainableNetwork, data: LabelledData) {
        var generator = SeededGenerator(seed: seed)
        let data = try generator.data(60, shape: SampleShape(widths[0]), classes: widths[widths.count - 1])
        let network = try TrainableNetwork.mlp(widths, seed: seed)
        for layer in network.weightedLayers { for index in 0..<layer.weight.value.rows { layer.bias?.value[0, index] = Float(generator.gaussian()) } }
        if sparsity > 0 {
            let scope = granularity.isNOfM ? nil : PruningScope.layer
            try Pruner(network, configuration: PruningConfiguration(sparsity: sparsity, granularity: granularity, scope: scope)).prune()
        }
        return (network, data)
    }

    private func deploy(
        _ network: TrainableNetwork, _ data: LabelledData, _ configuration: QuantizationConfiguration?, _ granularity: PruningGranularity = .weights
    ) throws -> [any LinearLayer] {
        try Deployment(quantization: configuration, granularities: [granularity]).deploy(network, data: data).linearLayers.map(\.layer)
    }

    /// Places that the mask prunes and the deployed layer does not hold as 0.
    private func revived(_ network: TrainableNetwork, _ layers: [any LinearLayer]) -> Int {
        zip(network.weightedLayers, layers).reduce(0) { count, pair in
            guard let mask = pair.0.weight.mask else { return count }
            let dense = pair.1.denseWeight()
            return count + mask.indices.count { mask[$0] == 0 && dense[$0 / dense.columns, $0 % dense.columns] != 0 }
        }
    }

    private static let granularities: [(PruningGranularity, Double)] = [
        (.weights, 0.8), (.weights, 0.2), (.blocks(rows: 4, columns: 1), 0.8), (.blocks(rows: 4, columns: 4), 0.5), (.nOfM(keep: 2, of: 4), 0.5),
        (.units, 0.5),
    ]
    private static let formats = [
        "float32", "f16", "bf16", "w8a8", "w8a8-tensor", "w8a8-g32", "w8a7", "w4a8-channel", "w4a8-g32", "w3a8-channel", "w2a8-channel", "w2a8-g32",
        "ternary-channel",
    ]

    /// Granularities × formats × roundings × activations × symmetry × steps: exactly 0 where the mask is 0, and no combination is lost on the way.
    @Test(arguments: formats) func prunedWeightsStayZero(name: String) throws {
        let format = try WeightFormat(named: name)
        for (granularity, sparsity) in Self.granularities {
            let (network, data) = try pruned(sparsity, granularity)
            for rounding in WeightRounding.allCases {
                for activations in [ActivationScales.dynamic, .static, .none] {
                    for (weights, extras) in [(WeightSymmetry.symmetric, false), (.symmetric, true), (.asymmetric, true)] {
                        let configuration = QuantizationConfiguration(
                            format: format, activations: activations, rounding: rounding, weights: weights, equalizesLayers: extras,
                            correctsBias: extras && format.scheme != nil)
                        guard (try? configuration.validate(for: network)) != nil else { continue }
                        let layers = try deploy(network, data, configuration, granularity)
                        #expect(
                            revived(network, layers) == 0,
                            "\(name) \(granularity) \(sparsity) \(rounding) \(activations) \(weights), extras \(extras)")
                    }
                }
            }
        }
    }

    /// Masks hold through training in integers and distillation too, up to the deployed layer.
    @Test(arguments: ["w8a8", "w4a8-channel", "w3a8-channel", "w2a8-channel", "ternary-channel"]) func prunedWeightsStayZeroInTraining(
        name: String
    ) throws {
        for (granularity, sparsity) in Self.granularities {
            let (network, data) = try pruned(sparsity, granularity), training = TrainerConfiguration(epochs: 2, batchSize: 20)
            for isStatic in [false, true] {
                let student = network.copy(), teacher = network.copy()
                let configuration = QuantizationConfiguration(format: try WeightFormat(named: name), activations: isStatic ? .static : .dynamic)
                try student.prepareQuantizationAwareTraining(configuration, data: data)
                let loss = try DistillationLoss(
                    DistillationConfiguration(), student: student, data: data, teachers: [TeacherLogits(of: teacher, on: data)])
                _ = try Trainer(student, data: data, configuration: training, loss: loss).run()
                #expect(revived(network, try deploy(student, data, configuration, granularity)) == 0, "\(name) \(granularity)")
                #expect(student.weightedLayers.map(\.weight.mask) == network.weightedLayers.map(\.weight.mask))
            }
        }
    }

    /// What an option does to a dense layer it does to a sparse one.
    @Test func optionsActBehindPruning() throws {
        let (network, data) = try pruned(0.8)
        func layers(
            _ activations: ActivationScales = .dynamic, _ rounding: WeightRounding = .nearest, corrects: Bool = false
        ) throws -> [any LinearLayer] {
            try deploy(
                network, data,
                QuantizationConfiguration(format: .integer(.w8a8), activations: activations, rounding: rounding, correctsBias: corrects))
        }
        let plain = try layers()
        #expect(plain.allSatisfy { ($0 as? SparseLinear)?.weight.values == .int8 })
        // Without codes of activations, weights are stored alone.
        #expect(try layers(.none).allSatisfy { $0 is WeightOnlyLinear })
        for layer in try layers(.static) {
            let sparse = try #require(layer as? SparseLinear)
            guard case .fixed = sparse.inputQuantization else {
                Issue.record("expected a static scale, found \(sparse.inputQuantization)")
                continue
            }
        }
        let gptq = try layers(.dynamic, .gptq), corrected = try layers(corrects: true)
        for (index, layer) in plain.enumerated() {
            #expect(gptq[index] is SparseLinear && gptq[index].denseWeight() != layer.denseWeight())
            #expect(corrected[index].denseWeight() == layer.denseWeight() && corrected[index].bias != layer.bias)
        }
    }

    /// A sparse layer multiplies the codes of the dense one: outputs are the same bits but for what pruned weights would add, 0.
    @Test(arguments: [ActivationScales.dynamic, .static, .staticSymmetric], ["w8a8", "w8a8-tensor"]) func sparseEqualsDense(
        activations: ActivationScales, name: String
    ) throws {
        for (granularity, sparsity) in [(PruningGranularity.weights, 0.8), (.blocks(rows: 4, columns: 1), 0.8), (.nOfM(keep: 2, of: 4), 0.5)] {
            let (network, data) = try pruned(sparsity, granularity)
            let configuration = QuantizationConfiguration(format: try WeightFormat(named: name), activations: activations, rounding: .gptq)
            let sparse = try deploy(network, data, configuration, granularity)
            let dense = try Deployment(quantization: configuration, minimumSparsity: 1).deploy(network, data: data).linearLayers.map(\.layer)
            #expect(dense.allSatisfy { $0 is QuantizedLinear } && sparse.allSatisfy { !($0 is QuantizedLinear) })
            for (left, right) in zip(sparse, dense) {
                #expect(left.denseWeight() == right.denseWeight(), "\(name) \(granularity)")
                for rows in [1, 7] {
                    let x = try Small.inputs(rows, left.inputs)
                    expectClose(left(x), right(x), tolerance: 1e-6)
                }
            }
        }
    }

    /// Layers become sparse from a share on that the documentation states.
    @Test func formsAtTheThreshold() throws {
        let int8 = QuantizationConfiguration(format: .integer(.w8a8))
        for percent in [29, 30, 31, 59, 60, 61] {
            // 80 · 40 and 40 · 40 weights: exact counts of each per cent.
            let (network, data) = try pruned(Double(percent) / 100, widths: [80, 40, 40, 12])
            let (float, integers) = (try deploy(network, data, nil), try deploy(network, data, int8))
            #expect(float.dropLast().map { $0 is SparseLinear } == [percent >= 30, percent >= 30], "\(percent) %")
            #expect(integers.dropLast().map { $0 is SparseLinear } == [percent >= 60, percent >= 60], "\(percent) %")
            #expect(integers.dropLast().map { $0 is QuantizedLinear } == [percent < 60, percent < 60], "\(percent) %")
        }
    }

    @Test func normalizationIsFoldedBehindPruning() throws {
        let network = try Small.lenet5()
        let data = try Small.data(24, shape: SampleShape(height: 12, width: 12, channels: 2))
        try Pruner(network, configuration: PruningConfiguration(sparsity: 0.7, scope: .layer)).prune()
        for folds in [true, false] {
            let configuration = QuantizationConfiguration(format: .integer(.w8a8), foldsBatchNormalization: folds)
            let deployed = try Deployment(quantization: configuration).deploy(network, data: data)
            // The one behind Flatten has no layer with weights in front of it.
            #expect(deployed.layers.count { $0 is ScaleShift } == (folds ? 1 : 4))
            #expect(deployed.linearLayers.allSatisfy { $0.layer is SparseLinear } && revived(network, deployed.linearLayers.map(\.layer)) == 0)
            expectClose(deployed(data.inputs), network.predict(data.inputs), tolerance: 0.1)
        }
    }

    /// Layers that were trained in integers get those: a configuration that asks for others is refused.
    @Test func trainedIntegersAreNotQuantizedAgain() throws {
        let (network, data) = try pruned(0), trained = QuantizationConfiguration(format: .integer(.w4a8))
        try network.prepareQuantizationAwareTraining(trained)
        #expect(throws: Never.self) { try Deployment(quantization: trained).deploy(network, data: data) }
        for other in [
            QuantizationConfiguration(format: .integer(.w8a8)), QuantizationConfiguration(format: .half(.fp16)),
            QuantizationConfiguration(format: .integer(.w4a8), activations: .none),
            QuantizationConfiguration(format: .integer(.w4a8), activations: .static),
            QuantizationConfiguration(format: .integer(.w4a8), rounding: .gptq),
            QuantizationConfiguration(format: .integer(.w4a8), equalizesLayers: true),
            QuantizationConfiguration(format: .integer(.w4a8), correctsBias: true),
        ] {
            #expect(throws: CompressionError.self, "\(other)") { try Deployment(quantization: other).deploy(network, data: data) }
        }
        for other in [
            QuantizationConfiguration(format: .half(.fp16)), QuantizationConfiguration(format: .integer(.w4a8), rounding: .gptq),
            QuantizationConfiguration(format: .integer(.w4a8), equalizesLayers: true),
            QuantizationConfiguration(format: .integer(.w4a8), correctsBias: true),
        ] {
            #expect(throws: CompressionError.self, "\(other)") { try network.prepareQuantizationAwareTraining(other, data: data) }
        }
    }

    @Test func whatCannotBeCombinedIsRefused() throws {
        let (network, data) = try pruned(0.8)
        for name in ["w1a8-channel", "w1a1-channel", "w1a8-tensor"] {
            let configuration = QuantizationConfiguration(format: try WeightFormat(named: name))
            let expected = CompressionError.outOfRange(
                what: "format of layer fc1, which has pruned weights", allowed: "one with a code for 0, which signs have not", found: name)
            #expect(throws: expected) { try Deployment(quantization: configuration).deploy(network, data: data) }
            #expect(throws: expected) { try configuration.validate(for: network) }
            #expect(throws: expected) { try network.prepareQuantizationAwareTraining(configuration) }
        }
        // Behind training in signs, too.
        let signs = try pruned(0), binary = QuantizationConfiguration(format: .integer(.w1a8))
        try signs.network.prepareQuantizationAwareTraining(binary)
        #expect(throws: CompressionError.self) { try Pruner(signs.network, configuration: PruningConfiguration(sparsity: 0.5)) }
        signs.network.weighted("fc2").weight.mask = (0..<signs.network.weighted("fc2").weight.value.count).map { $0 % 2 == 0 ? 1 : 0 }
        #expect(throws: CompressionError.self) { try Deployment().deploy(signs.network) }
        #expect(throws: CompressionError.self) { try Deployment(minimumSparsity: 1.5).deploy(network) }
        #expect(throws: CompressionError.self) { try Deployment(minimumSparsity: .nan).deploy(network) }
        #expect(throws: CompressionError.self) { try Deployment(expectedRows: 0).deploy(network) }
    }
}
