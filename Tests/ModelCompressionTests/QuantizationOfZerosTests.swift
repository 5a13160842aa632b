import CompactNumerics
@testable import ModelCompression
import Testing

/// Weights and inputs of which nothing is known yet, and those that are too large: groups, outputs and layers of zeros, infinity.
@Suite struct QuantizationOfZerosTests {
    private static let formats = [
        "w8a8", "w8a8-g32", "w4a8", "w4a8-g32", "w4a8-tensor", "w3a8", "w2a8", "w2a8-g32", "ternary", "ternary-g32", "w1a8", "w1a8-g32",
    ]

    /// A group of zeros changes nothing for its neighbours.
    @Test(arguments: ["w8a8-g32", "w4a8-g32", "w2a8-g32"], WeightSymmetry.allCases) func groups(name: String, symmetry: WeightSymmetry) throws {
        var generator = SeededGenerator(seed: 41)
        let configuration = QuantizationConfiguration(format: try WeightFormat(named: name), activations: .none, weights: symmetry)
        let weight = Matrix(rows: 6, columns: 96) { _, column in (32..<64).contains(column) ? 0 : Float(generator.gaussian()) / 20 }
        func error(_ weight: Matrix) throws -> Double {
            let dense = try LinearQuantizer(configuration).quantize(Linear(weight: weight)).denseWeight()
            if weight.columns == 96 { for row in 0..<6 { for column in 32..<64 { #expect(dense[row, column] == 0) } } }
            return (0..<weight.count).reduce(0) { sum, at in
                let rest = Double(dense[at / weight.columns, at % weight.columns] - weight[at / weight.columns, at % weight.columns])
                return sum + rest * rest
            }
        }
        let without = Matrix(rows: 6, columns: 64) { weight[$0, $1 < 32 ? $1 : $1 + 32] }
        #expect(try error(weight) == error(without))
    }

    @Test(arguments: formats, WeightRounding.allCases) func outputsAndLayers(name: String, rounding: WeightRounding) throws {
        let format = try WeightFormat(named: name)
        if rounding == .searchedScale, format.scheme!.group > 0 { return }
        var generator = SeededGenerator(seed: 42)
        let x = Matrix(rows: 20, columns: 70) { _, column in column == 3 ? 0 : Float(generator.gaussian()) }
        for isAllZero in [false, true] {
            let weight = Matrix(rows: 5, columns: 70) { row, _ in row == 2 || isAllZero ? 0 : Float(generator.gaussian()) }
            let configuration = QuantizationConfiguration(format: format, activations: .static, rounding: rounding, correctsBias: true)
            let layer = try LinearQuantizer(configuration).quantize(Linear(weight: weight, bias: [1, 2, 3, 4, 5]), inputs: x), y = layer(x)
            // One scale for the whole matrix and signs have no 0 for one output.
            if !format.isBinary || isAllZero || format.scheme!.granularity != .tensor { for row in 0..<20 { #expect(y[row, 2] == 3) } }
            #expect(y.firstNonFinite == nil)
        }
    }

    /// A last layer of zeros learns as it does in float32.
    @Test(arguments: ["float32", "w8a8", "w4a8", "w3a8", "w2a8", "ternary", "w1a8", "w4a8-tensor"], [ActivationScales.dynamic, .static])
    func aHeadOfZerosLearns(name: String, activations: ActivationScales) throws {
        let accuracy = try trained(name, activations, zeroLayers: ["fc2"])
        #expect(accuracy > 0.84, "\(name) \(activations): \(accuracy)")
    }

    /// A layer of zeros in front of another one: what follows sees no input other than its bias at first.
    @Test(arguments: ["w8a8", "w4a8", "w2a8"], [ActivationScales.dynamic, .static, .staticSymmetric])
    func aHiddenLayerOfZerosLearns(name: String, activations: ActivationScales) throws {
        let accuracy = try trained(name, activations, zeroLayers: ["fc1"])
        #expect(accuracy > 0.6, "\(name) \(activations): \(accuracy)")
    }

    private func trained(_ name: String, _ activations: ActivationScales, zeroLayers: [String]) throws -> Double {
        let (train, test) = (try LabelledData.digits(.training), try LabelledData.digits(.test))
        let network = try TrainableNetwork.mlp([64, 40, 10], seed: 5)
        for layer in network.weightedLayers where zeroLayers.contains(layer.name) {
            layer.weight.value.fill(0)
            // Units that are all 0 behind ReLU would never move.
            for index in 0..<layer.bias!.value.count { layer.bias!.value.pointer[index] = layer.name == "fc1" ? Float(index % 5) / 50 : 0 }
        }
        if name != "float32" {
            let configuration = QuantizationConfiguration(format: try WeightFormat(named: name), activations: activations)
            try network.prepareQuantizationAwareTraining(configuration, data: train)
        }
        _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: 8, batchSize: 50, learningRate: 5e-3)).run()
        return try evaluate(Deployment().deploy(network), test)
    }

    /// Numbers near the end of float32 are calibrated; where they become infinite inside the network, both doors say the same.
    @Test(arguments: [CalibrationMethod.minMax, .movingAverage(), .percentile(), .meanSquaredError, .entropy])
    func hugeSamples(method: CalibrationMethod) throws {
        let configuration = QuantizationConfiguration(format: .integer(.w8a8), activations: .static, calibration: method)
        func network(_ scale: Float) throws -> TrainableNetwork {
            let network = try TrainableNetwork.mlp([8, 6, 3], seed: 1)
            for layer in network.weightedLayers { for index in 0..<layer.weight.value.count { layer.weight.value.pointer[index] *= scale } }
            return network
        }
        let samples = Matrix(rows: 64, columns: 8) { ($0 + $1) % 3 == 0 ? 3e38 : ($0 + $1) % 3 == 1 ? -3e38 : 1 }
        let data = try LabelledData(inputs: samples, labels: (0..<64).map { $0 % 3 }, classes: 3, shape: SampleShape(8))
        #expect(throws: Never.self) { try Deployment(quantization: configuration).deploy(network(0x1p-10), data: data) }
        #expect(throws: Never.self) { try network(0x1p-10).prepareQuantizationAwareTraining(configuration, data: data) }
        let large = try network(100)
        let first = #expect(throws: CompressionError.self) { try Deployment(quantization: configuration).deploy(large, data: data) }
        let second = #expect(throws: CompressionError.self) { try large.prepareQuantizationAwareTraining(configuration, data: data) }
        #expect(first == second)
        guard case .notFinite(let what, _, _) = first else { Issue.record("\(String(describing: first))"); return }
        #expect(what == "inputs of layer fc2 in calibration")
        let broken = try network(1)
        broken.weightedLayers[1].weight.value[2, 1] = .nan
        let expected = CompressionError.notFinite(what: "fc2.weight", row: 2, column: 1)
        #expect(throws: expected) { try Deployment(quantization: configuration).deploy(broken, data: data) }
        #expect(throws: expected) { try broken.prepareQuantizationAwareTraining(configuration, data: data) }
    }
}

/// Integer sums of quantization-aware training are exact however large they are.
@Suite struct QuantizedTrainingSumsTests {
    /// Codes at both ends of their ranges, most of one sign: sums up to 255 · 127 · K, odd ones too, beyond 2²⁴ for K = 784 and below 2²⁶ still for
    /// 1,100. Training has the bits of the deployed kernel, and of sums in Int.
    @Test(arguments: [784, 1100, 519, 1536], ["w8a8", "w8a7"]) func saturatedCodes(k: Int, name: String) throws {
        var generator = SeededGenerator(seed: UInt64(k))
        let (n, m) = (24, 40), format = try WeightFormat(named: name), highest = Int(format.scheme!.activations.highest)
        let weight = Parameter(
            name: "w",
            value: Tensor(
                Matrix(rows: n, columns: k) { row, _ in
                    let code = generator.index(below: 8) == 0 ? Float(127 - generator.index(below: 4)) : 127
                    return row % 3 == 2 && generator.index(below: 10) == 0 ? -code : code
                }), decays: true)
        let x = Tensor(Matrix(rows: m, columns: k) { _, _ in Float(highest - (generator.index(below: 3) == 0 ? generator.index(below: 6) : 0)) })
        let product = try QuantizedTrainingProduct(
            layer: "fc", weight: weight, format: format, inputQuantization: .fixed(scale: 1, zeroPoint: 0))
        let y = Tensor(rows: m, columns: n)
        product.forward(x, weight: weight, bias: nil, output: y, context: TrainingContext())
        let layer = try product.deployed(DenseLayer("fc", weight: weight, bias: nil), Linear(weight: weight.value.matrix)), found = layer(x.matrix)
        let parts = layer.weight.unpacked()
        #expect(parts.codes.contains(127))
        for row in 0..<m {
            for output in 0..<n {
                let sum = (0..<k).reduce(0) { $0 + Int(x[row, $1]) * Int(parts.codes[output * k + $1]) }
                #expect(y[row, output].bitPattern == (Float(sum) * (1 * parts.scales[output])).bitPattern, "sum \(sum)")
                #expect(y[row, output].bitPattern == found[row, output].bitPattern)
            }
        }
    }
}
