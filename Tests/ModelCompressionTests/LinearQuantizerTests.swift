import CompactNumerics
@testable import ModelCompression
import Testing

private func squaredDistance(_ a: Matrix, _ b: Matrix) -> Double {
    var sum = 0.0
    for row in 0..<a.rows { for column in 0..<a.columns { sum += Double(a[row, column] - b[row, column]) * Double(a[row, column] - b[row, column]) } }
    return sum
}

/// One layer, without a network.
@Suite struct LinearQuantizerTests {
    private let n = 7, k = 100

    private func layer(seed: UInt64 = 31) throws -> Linear {
        var generator = SeededGenerator(seed: seed)
        return try Linear(
            weight: Matrix(rows: n, columns: k) { _, _ in Float(generator.gaussian()) }, bias: (0..<n).map { Float($0) / 8 }, activation: .relu)
    }

    /// Inputs that depend on each other and have means of their own.
    private func inputs(_ rows: Int, seed: UInt64 = 32) -> Matrix {
        var generator = SeededGenerator(seed: seed)
        var last: Float = 0
        return Matrix(rows: rows, columns: k) { _, column in
            last = 0.8 * last + Float(generator.gaussian()) + (column % 3 == 0 ? 0.5 : 0)
            return last
        }
    }

    static let configurations: [QuantizationConfiguration] = [
        QuantizationConfiguration(format: .integer(.w8a8)),
        QuantizationConfiguration(format: .integer(.w8a8), activations: .static, calibration: .entropy, correctsBias: true),
        QuantizationConfiguration(format: .integer(.w4a8), activations: .staticSymmetric, rounding: .gptq),
        QuantizationConfiguration(format: .threeBits(.w4a8), activations: .none, rounding: .gptq, weights: .asymmetric, correctsBias: true),
        QuantizationConfiguration(format: .integer(.w2a8), activations: .none, rounding: .searchedScale),
        QuantizationConfiguration(format: .half(.bf16)),
        QuantizationConfiguration(format: .half(.bf16a16)),
        QuantizationConfiguration(format: .float32),
    ]

    /// The layer that a network of one layer is deployed as: the same kind, weights, bias and outputs.
    @Test(arguments: configurations) func equalsTheDeploymentOfANetwork(configuration: QuantizationConfiguration) throws {
        let linear = try layer(),
            data = try LabelledData(
                inputs: inputs(600), labels: (0..<600).map { $0 % n }, classes: n, shape: SampleShape(k))
        let network = try TrainableNetwork.mlp([k, n])
        network.weightedLayers[0].weight.value.assign(Tensor(linear.weight))
        network.weightedLayers[0].bias!.value.pointer.update(from: linear.bias!, count: n)
        let deployed = try Deployment(quantization: configuration).deploy(network, data: configuration.needsData ? data : nil)
        let name = network.weightedLayers[0].name
        var statistics = LayerStatistics(layer: name, inputs: k, for: configuration)
        for start in stride(from: 0, to: 600, by: 256) {  // the batches of the network
            try statistics.add(Matrix(rows: min(256, 600 - start), columns: k) { data.inputs[start + $0, $1] })
        }
        var expected = try #require(deployed.layers[0] as? any LinearLayer)
        expected.activation = .relu
        let found = try LinearQuantizer(configuration).quantize(linear, statistics: statistics, name: name)
        #expect(type(of: found) == type(of: expected) && found.activation == .relu)
        #expect(found.denseWeight() == expected.denseWeight() && found.bias == expected.bias)
        #expect(found(data.inputs) == expected(data.inputs))
    }

    /// Statistics by their definition in float64, and in several batches what they are in one.
    @Test func statisticsFollowTheirDefinitions() throws {
        let x = inputs(90),
            configuration = QuantizationConfiguration(
                format: .integer(.w8a8), activations: .static, calibration: .meanSquaredError, rounding: .gptq, correctsBias: true)
        var one = LayerStatistics(inputs: k, for: configuration), many = LayerStatistics(inputs: k, for: configuration)
        try one.add(x)
        for row in stride(from: 0, to: 90, by: 9) { try many.add(Matrix(rows: 9, columns: k) { x[row + $0, $1] }) }
        #expect(one.rows == 90 && many.rows == 90 && one.estimator!.range == many.estimator!.range)
        for i in 0..<k {
            let mean = (0..<90).reduce(0.0) { $0 + Double(x[$1, i]) } / 90
            #expect(abs(one.means![i] - mean) < 1e-9 && abs(many.means![i] - mean) < 1e-9)
            for j in i..<k {
                let exact = (0..<90).reduce(0.0) { $0 + Double(x[$1, i]) * Double(x[$1, j]) }
                #expect(abs(one.hessian![i * k + j] - exact) < 1e-3 && abs(many.hessian![i * k + j] - exact) < 1e-3)
            }
        }
        let least = LayerStatistics(inputs: k, for: QuantizationConfiguration(format: .integer(.w8a8)))
        #expect(least.hessian == nil && least.means == nil && least.estimator == nil)
    }

    @Test func gptqFromAMatrixLowersTheErrorOfOutputs() throws {
        let linear = try layer(), x = inputs(400), exact = linear(x)
        func error(_ rounding: WeightRounding) throws -> Double {
            let configuration = QuantizationConfiguration(format: .threeBits(.w4a8), activations: .none, rounding: rounding)
            let layer = try LinearQuantizer(configuration).quantize(linear, inputs: x)
            return squaredDistance(layer(x), exact)
        }
        #expect(try error(.gptq) < 0.7 * error(.nearest))
    }

    @Test func whatIsMissingOrWrongIsNamed() throws {
        let linear = try layer(), gptq = QuantizationConfiguration(format: .integer(.w4a8), rounding: .gptq), quantizer = LinearQuantizer(gptq)
        func expect(_ what: String, _ body: () throws -> Void) {
            let error = #expect(throws: CompressionError.self, performing: body)
            #expect(error.map { "\($0)".contains(what) } ?? false, "\(String(describing: error))")
        }
        expect("inputs of layer fc: expected statistics of at least 1 row, made for this configuration, found none") {
            _ = try quantizer.quantize(linear, name: "fc")
        }
        expect("found 0 rows") { _ = try quantizer.quantize(linear, statistics: LayerStatistics(inputs: k, for: gptq)) }
        var other = LayerStatistics(inputs: k, for: QuantizationConfiguration(format: .integer(.w8a8), correctsBias: true))
        try other.add(inputs(3))
        expect("found 3 rows for another configuration") { _ = try quantizer.quantize(linear, statistics: other) }
        expect("statistics of layer layer: expected 100 inputs, found 99") {
            _ = try quantizer.quantize(linear, statistics: LayerStatistics(inputs: 99, for: gptq))
        }
        expect("inputs of layer layer: expected 100 columns, found 5") { _ = try quantizer.quantize(linear, inputs: Matrix(rows: 2, columns: 5)) }
        for value in [Float.nan, .infinity, -.infinity] {
            var x = inputs(4)
            x[2, 7] = value
            #expect(throws: CompressionError.notFinite(what: "inputs of layer fc in calibration", row: 2, column: 7)) {
                try quantizer.quantize(linear, inputs: x, name: "fc")
            }
            var weight = linear.weight
            weight[3, 4] = value
            #expect(throws: CompressionError.notFinite(what: "fc.weight", row: 3, column: 4)) {
                try quantizer.quantize(Linear(weight: weight), inputs: inputs(4), name: "fc")
            }
            #expect(throws: CompressionError.notFinite(what: "fc.bias", row: 0, column: 1)) {
                try quantizer.quantize(Linear(weight: linear.weight, bias: [0, value, 0, 0, 0, 0, 0]), inputs: inputs(4), name: "fc")
            }
        }
        expect("mask of layer layer: expected 7×100, found 1×100") {
            _ = try quantizer.quantize(linear, mask: WeightMask(nonzerosOf: Matrix(rows: 1, columns: k)), inputs: inputs(4))
        }
        expect("calibration") {
            _ = try LinearQuantizer(QuantizationConfiguration(format: .integer(.w8a8), calibration: .entropy)).quantize(linear)
        }
        expect("number format") { _ = try LinearQuantizer(QuantizationConfiguration(format: .sparse(.single))).quantize(linear) }
    }
}

/// Where the mask is 0 the weight is exactly 0: in every format, by every rounding, for every kind of mask.
@Suite struct PrunedWeightsStayZeroTests {
    static let formats = [
        "f16", "bf16", "w8a8", "w8a7", "w8a8-tensor", "w8a8-g32", "w4a8", "w4a8-g32", "w3a8", "w3a8-tensor", "w2a8", "w2a8-g64", "ternary",
    ]
    private let n = 12, k = 112

    private func masks() throws -> [(name: String, mask: WeightMask)] {
        var generator = SeededGenerator(seed: 33)
        func mask(_ keeps: (Int, Int) -> Bool) throws -> WeightMask {
            try WeightMask(rows: n, columns: k, keeps: (0..<n * k).map { keeps($0 / k, $0 % k) })
        }
        let random = (0..<n * k).map { _ in generator.uniform() > 0.8 }
        return [
            ("80 %", try mask { random[$0 * k + $1] }), ("2:4", try mask { ($1 + $0) % 4 < 2 }), ("4×1 blocks", try mask { ($0 / 4 + $1) % 3 == 0 }),
            ("rows and inputs", try mask { $0 != 2 && $0 != 5 && $1 >= 40 }), ("all", try mask { _, _ in false }),
        ]
    }

    @Test(arguments: formats, WeightRounding.allCases) func formatsAndRoundings(name: String, rounding: WeightRounding) throws {
        let format = try WeightFormat(named: name)
        guard format.scheme != nil || rounding == .nearest, rounding != .searchedScale || format.scheme!.group == 0 else { return }
        var generator = SeededGenerator(seed: 34)
        let linear = try Linear(
            weight: Matrix(rows: n, columns: k) { _, _ in Float(generator.gaussian()) + 0.3 }, bias: Array(repeating: 1, count: n))
        var last: Float = 0
        let x = Matrix(rows: 300, columns: k) { _, _ in
            last = 0.9 * last + Float(generator.gaussian())
            return last
        }
        for (kind, mask) in try masks() {
            for symmetry in format.scheme == nil || format.scheme!.isTernary ? [.symmetric] : WeightSymmetry.allCases {
                let isInteger = format.scheme != nil
                let configuration = QuantizationConfiguration(
                    format: format, activations: isInteger ? .none : .dynamic, rounding: rounding, weights: symmetry, correctsBias: isInteger)
                let layer = try LinearQuantizer(configuration).quantize(linear, mask: mask, inputs: x), dense = layer.denseWeight()
                for row in 0..<n { for column in 0..<k where !mask[row, column] { #expect(dense[row, column] == 0, "\(kind) \(symmetry)") } }
                if mask.keptCount > 0 { #expect((0..<n * k).contains { dense[$0 / k, $0 % k] != 0 }) }
                guard let layer = layer as? WeightOnlyLinear else { continue }
                let groups = max(1, layer.zeroPoints.count / n), size = format.scheme!.group == 0 ? k : format.scheme!.group
                for row in 0..<n {
                    let codes = layer.weight.codes(row: row)
                    for column in 0..<k where !mask[row, column] {
                        let zero = layer.zeroPoints.isEmpty ? 0 : layer.zeroPoints[row * groups + column / size]
                        #expect(codes[column] == zero)
                    }
                }
            }
        }
    }

    /// GPTQ behind a mask still is better than rounding: what pruned weights receive goes on to those that are kept.
    @Test func gptqBehindAMask() throws {
        var generator = SeededGenerator(seed: 35)
        let linear = try Linear(weight: Matrix(rows: n, columns: k) { _, _ in Float(generator.gaussian()) })
        var last: Float = 0
        let x = Matrix(rows: 300, columns: k) { _, _ in
            last = 0.9 * last + Float(generator.gaussian())
            return last
        }
        for (kind, mask) in try masks().dropLast() {
            let pruned = try Linear(weight: Matrix(rows: n, columns: k) { mask[$0, $1] ? linear.weight[$0, $1] : 0 }), exact = pruned(x)
            func error(_ rounding: WeightRounding) throws -> Double {
                let configuration = QuantizationConfiguration(format: .threeBits(.w4a8), activations: .none, rounding: rounding)
                let layer = try LinearQuantizer(configuration).quantize(linear, mask: mask, inputs: x)
                return squaredDistance(layer(x), exact)
            }
            let (gptq, nearest) = (try error(.gptq), try error(.nearest))
            #expect(gptq < 0.8 * nearest, "\(kind): \(gptq), to nearest \(nearest)")
        }
    }

    @Test(arguments: ["w8a8", "w4a8", "w3a8", "w2a8", "ternary", "w4a8-tensor"]) func trainingKeepsThem(name: String) throws {
        let train = try LabelledData.digits(.training).prefix(200), network = try TrainableNetwork.mlp([64, 24, 10], seed: 3)
        var generator = SeededGenerator(seed: 36)
        for layer in network.weightedLayers { layer.weight.mask = (0..<layer.weight.value.count).map { _ in generator.uniform() > 0.8 ? 1 : 0 } }
        try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: WeightFormat(named: name)))
        _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: 2, batchSize: 20, learningRate: 1e-2)).run()
        for layer in network.weightedLayers {
            let product = try #require(layer.product as? QuantizedTrainingProduct),
                (rows, columns) = (layer.weight.value.rows, layer.weight.value.columns)
            let deployed = try product.deployed(layer, Linear(weight: layer.weight.value.matrix))
            for row in 0..<rows {
                let codes = deployed.weight.codes(row: row)
                for column in 0..<columns where layer.weight.mask![row * columns + column] == 0 { #expect(codes[column] == 0) }
            }
        }
    }

    /// With the same words by every door; a mask that prunes nothing is none.
    @Test(arguments: ["w1a8", "w1a1", "w1a8-g32"]) func binaryWeightsAreRefused(name: String) throws {
        let configuration = QuantizationConfiguration(format: try WeightFormat(named: name)), network = try TrainableNetwork.mlp([64, 10])
        let layer = network.weightedLayers[0],
            error = CompressionError.outOfRange(
                what: "format of layer \(layer.name), which has pruned weights", allowed: "one with a code for 0, which signs have not",
                found: "\(configuration.format)")
        layer.weight.mask = (0..<640).map { $0 % 3 == 0 ? 0 : 1 }
        let linear = try Linear(weight: layer.weight.value.matrix), mask = try WeightMask(rows: 10, columns: 64, keeps: (0..<640).map { $0 % 3 != 0 })
        #expect(throws: error) { try LinearQuantizer(configuration).quantize(linear, mask: mask, name: layer.name) }
        #expect(throws: error) { try Deployment(quantization: configuration).deploy(network) }
        #expect(throws: error) { try network.prepareQuantizationAwareTraining(configuration) }
        let all = try WeightMask(rows: 10, columns: 64, keeps: Array(repeating: true, count: 640))
        #expect(throws: Never.self) { try LinearQuantizer(configuration).quantize(linear, mask: all, name: layer.name) }
    }
}
