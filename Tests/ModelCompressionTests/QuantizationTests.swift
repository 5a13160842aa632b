import CompactNumerics
@testable import ModelCompression
import CTraining
import Foundation
import Testing

@Suite struct RangeEstimatorTests {
    private func estimate(_ method: CalibrationMethod, _ values: [Float], batch: Int = 100) -> RangeEstimator {
        var estimator = RangeEstimator(method)
        for start in stride(from: 0, to: values.count, by: batch) {
            Array(values[start..<min(start + batch, values.count)]).withUnsafeBufferPointer { estimator.add($0) }
        }
        return estimator
    }

    private func gaussian(_ count: Int, seed: UInt64 = 1) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Float(generator.gaussian()) }
    }

    @Test func extremesAndMovingAverages() {
        let values = gaussian(1000)
        #expect(estimate(.minMax, values).range == values.min()!...values.max()!)
        var (low, high) = (0.0, 0.0)
        for batch in 0..<10 {
            let part = values[batch * 100..<batch * 100 + 100]
            low = batch == 0 ? Double(part.min()!) : low + 0.2 * (Double(part.min()!) - low)
            high = batch == 0 ? Double(part.max()!) : high + 0.2 * (Double(part.max()!) - high)
        }
        let range = estimate(.movingAverage(share: 0.2), values).range
        #expect(abs(Double(range.lowerBound) - low) < 1e-6 && abs(Double(range.upperBound) - high) < 1e-6)
        #expect(estimate(.minMax, [3, 5]).range == 0...5 && estimate(.minMax, [-3]).range == -3...0)
    }

    /// Against sorting all numbers; a bin is 1/2,048 of the reach at most.
    @Test(arguments: [0.001, 0.01, 0.1]) func percentiles(outside: Double) {
        let values = gaussian(20_000), sorted = values.sorted(), bin = max(-sorted[0], sorted[19_999]) / 1024
        let cut = Int(outside * 20_000 / 2)
        let range = estimate(.percentile(outside: outside), values).range
        #expect(abs(range.lowerBound - sorted[cut]) <= bin && abs(range.upperBound - sorted[19_999 - cut]) <= bin)
        let positive = estimate(.percentile(outside: outside), values.map(abs)).range
        #expect(positive.lowerBound == 0 && abs(positive.upperBound - values.map(abs).sorted()[19_999 - 2 * cut]) <= bin)
    }

    /// One number far away: the range of least error leaves it out where that is better, by the error over all numbers.
    @Test func leastSquaredErrorIsNotWorseThanTheExtremes() {
        func error(_ quantization: ActivationQuantization, _ values: [Float]) -> Double {
            guard case .fixed(let scale, let zero) = quantization else { return .infinity }
            return values.reduce(0) { sum, x in
                let code = max(0, min(255, (x / scale).rounded(.toNearestOrEven) + Float(zero)))
                return sum + Double((x - (code - Float(zero)) * scale) * (x - (code - Float(zero)) * scale))
            }
        }
        let values = gaussian(5000) + [9]
        let best = error(estimate(.meanSquaredError, values).quantization(highest: 255), values)
        let extremes = error(estimate(.minMax, values).quantization(highest: 255), values)
        #expect(best < extremes)
        let exhaustive = (50...250).map { step in
            let scale = (values.max()! - values.min()!) / 255 * Float(step) / 250
            return error(.fixed(scale: scale, zeroPoint: Int((-values.min()! / (values.max()! - values.min()!) * 255).rounded())), values)
        }.min()!
        #expect(best <= 1.02 * exhaustive, "\(best), exhaustive search \(exhaustive)")
    }

    /// The range of least divergence by its definition: of all candidates, with a histogram of the same bins made by a plain loop.
    @Test(arguments: [false, true]) func leastDivergenceEqualsAnExhaustiveSearch(isStandardizedImage: Bool) {
        // As pixels after standardization: half of them the background, the rest spread to the other side.
        let values =
            isStandardizedImage
            ? (0..<4000).map { $0 % 2 == 0 ? -0.8125 : -0.8 + 2.8 * Float($0) / 4000 } : gaussian(4000) + [9]
        let (low, high) = (min(0, values.min()!), max(0, values.max()!))
        var width: Float = 0x1p-20
        while width * 2048 <= max(-low, high) { width *= 2 }
        let bins = values.map { Int(($0 / width).rounded(.down)) }
        func divergence(_ share: Float) -> Double {
            let range = Int((low * share / width).rounded(.down))..<Int((high * share / width).rounded(.up)), levels = min(256, range.count)
            var p: [Int: Double] = [:], inside: [Int: Double] = [:]
            for bin in bins {
                p[max(range.lowerBound, min(range.upperBound - 1, bin)), default: 0] += 1
                if range.contains(bin) { inside[bin, default: 0] += 1 }
            }
            var level: [Int: (sum: Double, count: Double)] = [:]
            func levelOf(_ bin: Int) -> Int { (0..<levels).last { $0 * range.count / levels <= bin - range.lowerBound }! }
            let levelOfBin = Dictionary(uniqueKeysWithValues: p.keys.map { ($0, levelOf($0)) })
            for (bin, count) in inside { level[levelOfBin[bin]!, default: (0, 0)].sum += count; level[levelOfBin[bin]!]!.count += 1 }
            let all = inside.values.reduce(0, +)
            return p.reduce(0) { total, entry in
                let own = level[levelOfBin[entry.key]!].map { inside[entry.key] == nil ? 0 : $0.sum / $0.count / all } ?? 0
                return total + entry.value / Double(values.count) * log(entry.value / Double(values.count) / max(own, 1e-12))
            }
        }
        let shares = (0..<100).map { 1 - 0.009 * Float($0) }, divergences = shares.map(divergence)
        let best = divergences.firstIndex(of: divergences.min()!)!, found = estimate(.entropy, values).range
        #expect(abs(found.upperBound - high * shares[best]) < 1e-5 && abs(found.lowerBound - low * shares[best]) < 1e-5, "\(found), \(shares[best])")
        if isStandardizedImage { #expect(found.upperBound > 0.95 * high) } else { #expect(found.upperBound < 9) }
    }

    @Test func scalesAndZeroPoints() {
        let quantization = estimate(.minMax, [-1, 4]).quantization(highest: 255)
        guard case .fixed(let scale, let zero) = quantization else { Issue.record("dynamic"); return }
        #expect(scale == 5 / Float(255) && zero == 51)
        guard case .fixed(let even, let middle) = estimate(.minMax, [-1, 4]).quantization(highest: 255, symmetric: true) else { return }
        #expect(even == 4 / Float(127) && middle == 128)
        // Nothing seen, and nothing but zeros: still a scale that layers accept.
        for estimator in [RangeEstimator(.entropy), estimate(.percentile(), [0, 0, 0])] {
            guard case .fixed(let scale, let zero) = estimator.quantization(highest: 127) else { return }
            #expect(scale == 1 && zero == 0)
        }
    }
}

@Suite struct QuantizerTests {
    private func data(_ count: Int = 200) throws -> LabelledData { try Small.data(count, shape: SampleShape(64), classes: 4) }

    private func trained() throws -> (network: TrainableNetwork, data: LabelledData, test: LabelledData) {
        let (train, test) = (try LabelledData.digits(.training), try LabelledData.digits(.test))
        let network = try TrainableNetwork.mlp([64, 64, 10], seed: 2)
        _ = try Trainer(network, data: train, configuration: TrainerConfiguration(epochs: 10, batchSize: 50, learningRate: 3e-3)).run()
        return (network, train, test)
    }

    @Test func everyCalibrationAndRoundingKeepsTheAccuracyOfInt8() throws {
        let (network, train, test) = try trained()
        let before = try evaluate(network, test), bits = network.bits
        let methods: [CalibrationMethod] = [.minMax, .movingAverage(), .percentile(), .meanSquaredError, .entropy]
        for activations in ActivationScales.allCases {
            for method in activations == .static ? methods : [.minMax] {
                for rounding in WeightRounding.allCases {
                    let configuration = QuantizationConfiguration(
                        format: .integer(.w8a8), activations: activations, calibration: method, rounding: rounding, equalizesLayers: true,
                        correctsBias: true)
                    let deployed = try Deployment(quantization: configuration).deploy(network, data: train)
                    let after = try evaluate(deployed, test)
                    #expect(abs(after - before) < 0.02, "\(activations) \(method) \(rounding): \(before) → \(after)")
                    #expect(deployed.byteCount < 3 * network.parameterCount / 2)
                }
            }
        }
        #expect(network.bits == bits)
    }

    /// GPTQ against its definition, one output after the other in float64, and better than rounding to nearest on correlated inputs.
    @Test func gptqFollowsItsDefinitionAndLowersTheError() throws {
        var generator = SeededGenerator(seed: 3)
        let (k, n, samples) = (24, 6, 300)
        var x = [[Double]](repeating: [], count: samples)
        for row in 0..<samples {
            var last = 0.0
            for _ in 0..<k {
                last = 0.9 * last + 0.4 * generator.gaussian()
                x[row].append(last)
            }
        }
        let weight = generator.tensor(n, k)
        var hessian = [Double](repeating: 0, count: k * k)
        for row in x { for i in 0..<k { for j in 0..<k { hessian[i * k + j] += row[i] * row[j] } } }
        func error(_ matrix: Matrix) -> Double {
            x.reduce(0) { sum, row in
                (0..<n).reduce(sum) { sum, output in
                    let difference = (0..<k).reduce(0.0) { $0 + row[$1] * Double(weight.pointer[output * k + $1] - matrix[output, $1]) }
                    return sum + difference * difference
                }
            }
        }
        for format in [WeightFormat.integer(.w4a8), .threeBits(.w4a8), .integer(.w2a8), .integer(.w1a8)] {
            let gptq = try WeightQuantizer(format: format, rounding: .gptq).quantize(weight.matrix, hessian: hessian)
            let nearest = try WeightQuantizer(format: format, rounding: .searchedScale).quantize(weight.matrix)
            #expect(error(gptq.dequantized()) < 0.8 * error(nearest.dequantized()), "\(format)")
            #expect(gptq.codes.allSatisfy { format.codes.contains(Int32($0)) })
        }
        let gptq = try WeightQuantizer(format: .integer(.w4a8), rounding: .gptq).quantize(weight.matrix, hessian: hessian)
        #expect(naiveGPTQ(weight, hessian, k, n) == gptq.codes)
    }

    // W − column by column: quantize, then the best change of the columns that follow, from the Gauss–Jordan inverse of their Hessian.
    private func naiveGPTQ(_ weight: Tensor, _ hessian: [Double], _ k: Int, _ n: Int) -> [Int8] {
        let mean = (0..<k).reduce(0) { $0 + hessian[$1 * k + $1] } / Double(k)
        var codes: [Int8] = []
        for row in 0..<n {
            let scale = WeightQuantizer.searchedScale(weight.pointer + row * k, count: k, .integer(.w4a8), eitherSign: true)
            var w = (0..<k).map { Double(weight.pointer[row * k + $0]) }
            for column in 0..<k {
                let rest = Array(column..<k)
                let inverse = inverted(rest.map { i in rest.map { j in hessian[i * k + j] + (i == j ? 0.01 * mean : 0) } })
                let code = max(-8, min(7, (w[column] / Double(scale)).rounded(.toNearestOrEven)))
                codes.append(Int8(code))
                let error = (w[column] - code * Double(scale)) / inverse[0][0]
                for (index, j) in rest.enumerated().dropFirst() { w[j] -= error * inverse[index][0] }
            }
        }
        return codes
    }

    private func inverted(_ matrix: [[Double]]) -> [[Double]] {
        let n = matrix.count
        var a = matrix, b = (0..<n).map { i in (0..<n).map { $0 == i ? 1.0 : 0 } }
        for p in 0..<n {
            let pivot = a[p][p]
            for j in 0..<n { a[p][j] /= pivot; b[p][j] /= pivot }
            for i in 0..<n where i != p {
                let factor = a[i][p]
                for j in 0..<n { a[i][j] -= factor * a[p][j]; b[i][j] -= factor * b[p][j] }
            }
        }
        return b
    }

    @Test func batchNormalizationFolds() throws {
        let network = try Small.lenet5(flattenFirst: false), x = try Small.inputs(5, 288)
        let folded = try network.foldingBatchNormalization()
        #expect(!folded.layers.contains { $0 is BatchNormLayer })
        expectClose(folded.predict(x), network.predict(x), tolerance: 1e-4)
        // Behind Flatten a normalization has more channels than the layer in front: it stays.
        #expect(try Small.lenet5().foldingBatchNormalization().layers.count { $0 is BatchNormLayer } == 1)
    }

    @Test func equalizationLeavesTheFunction() throws {
        let network = try Small.lenet5(flattenFirst: false).foldingBatchNormalization(), x = try Small.inputs(5, 288)
        let before = network.predict(x)
        let row = network.weighted("conv2").weight.value
        for k in 0..<row.columns { row[3, k] *= 100 }
        network.weighted("conv2").bias!.value[0, 3] *= 100
        let next = network.weighted("fc1").weight.value
        for n in 0..<next.rows { for k in stride(from: 3, to: next.columns, by: 8) { next[n, k] /= 100 } }
        expectClose(network.predict(x), before, tolerance: 1e-4)
        network.equalizeLayers()
        expectClose(network.predict(x), before, tolerance: 1e-3)
        func range(_ channel: Int) -> Float { (0..<row.columns).reduce(0) { max($0, abs(row[channel, $1])) } }
        #expect((0..<8).map(range).max()! < 20 * (0..<8).map(range).min()!)
    }

    /// The mean of each output over the calibration data is that of the float32 layer.
    @Test func biasCorrectionRestoresTheMean() throws {
        let data = try data(), network = try TrainableNetwork.mlp([64, 4], seed: 5)
        func means(_ correctsBias: Bool) throws -> [Double] {
            let configuration = QuantizationConfiguration(format: .integer(.w2a8), activations: .none, correctsBias: correctsBias)
            let y = try Deployment(quantization: configuration).deploy(network, data: data)(data.inputs)
            return (0..<4).map { column in (0..<200).reduce(0.0) { $0 + Double(y[$1, column]) } / 200 }
        }
        let exact = network.predict(data.inputs)
        let expected = (0..<4).map { column in (0..<200).reduce(0.0) { $0 + Double(exact[$1, column]) } / 200 }
        let (corrected, plain) = (try means(true), try means(false))
        for index in 0..<4 { #expect(abs(corrected[index] - expected[index]) < 1e-5) }
        #expect(zip(plain, expected).contains { abs($0 - $1) > 1e-3 })
    }

    @Test func sensitivityAndMixedPrecision() throws {
        let (network, train, test) = try trained()
        let formats = try ["w8a8", "w4a8-channel", "w2a8-channel"].map { try WeightFormat(named: $0) }
        let table = try quantizationSensitivity(
            of: network, formats: formats, evaluation: test, base: QuantizationConfiguration(format: .float32), calibration: train)
        #expect(table.map(\.layer) == ["fc1", "fc1", "fc1", "fc2", "fc2", "fc2"] && table.map(\.format) == formats + formats)
        #expect(table[0].bytes > table[1].bytes && table[1].bytes > table[2].bytes)
        let full = table[0].bytes + table[3].bytes, least = table[2].bytes + table[5].bytes
        for budget in [full, (full + least) / 2, least] {
            let mixed = try MixedPrecision(table, budget: budget)
            #expect(mixed.bytes <= budget && mixed.layerFormats.count == 2)
            let chosen = mixed.layerFormats.map { name, format in table.first { $0.layer == name && $0.format == format }!.bytes }
            #expect(chosen.reduce(0, +) == mixed.bytes)
        }
        #expect(throws: CompressionError.outOfRange(what: "byte budget of mixed precision", allowed: "at least \(least)", found: "9")) {
            try MixedPrecision(table, budget: 9)
        }
    }

    /// The best of all choices, by trying each; and what is given with so many layers that choices have to be left out.
    @Test func mixedPrecisionIsTheBestChoice() throws {
        var generator = SeededGenerator(seed: 12)
        func table(_ layers: Int) -> [LayerSensitivity] {
            (0..<layers).flatMap { layer in
                [WeightFormat.integer(.w8a8), .integer(.w4a8), .integer(.w2a8)].enumerated().map { index, format in
                    LayerSensitivity(
                        layer: "fc\(layer)", format: format, accuracy: 0.9 - Double(index) * abs(generator.gaussian()) / 50,
                        bytes: (4 - index) * (50 + Int(abs(generator.gaussian()) * 200)))
                }
            }
        }
        for _ in 0..<20 {
            let table = table(5), sizes = (0..<5).map { layer in table[3 * layer..<3 * layer + 3].map(\.bytes) }
            let least = sizes.reduce(0) { $0 + $1.min()! }, most = sizes.reduce(0) { $0 + $1.max()! }
            for share in [0, 0.3, 0.7, 1] {
                let budget = least + Int(share * Double(most - least))
                var best = Double.infinity
                for code in 0..<243 {
                    let picks = (0..<5).map { table[3 * $0 + [1, 3, 9, 27, 81].map { code / $0 % 3 }[$0]] }
                    if picks.reduce(0, { $0 + $1.bytes }) <= budget { best = min(best, picks.reduce(0) { $0 + (1 - $1.accuracy) }) }
                }
                let mixed = try MixedPrecision(table, budget: budget)
                let found = table.filter { mixed.layerFormats[$0.layer] == $0.format }
                #expect(abs(found.reduce(0) { $0 + (1 - $1.accuracy) } - best) < 1e-12 && mixed.bytes <= budget)
                #expect(found.reduce(0) { $0 + $1.bytes } == mixed.bytes)
            }
        }
        let many = table(60), budget = many.reduce(0) { $0 + $1.bytes } / 3
        let mixed = try MixedPrecision(many, budget: budget)
        #expect(mixed.bytes <= budget && mixed.bytes > budget * 99 / 100 && mixed.layerFormats.count == 60)
    }

    /// Every weight within a step (2 bits: ranges are searched), zero without error, and codes in their range: of weights mostly on one side.
    @Test(arguments: ["w8a8", "w4a8-channel", "w3a8-channel", "w2a8-channel", "w4a8-tensor", "w4a8-g32", "w2a8-g64"])
    func asymmetricWeightsSpanTheirRange(name: String) throws {
        var generator = SeededGenerator(seed: 8)
        let (n, k) = (7, 128), format = try WeightFormat(named: name)
        let weight = Tensor(
            Matrix(rows: n, columns: k) { row, column in
                let sign: Float = row == 3 ? -1 : 1, shift: Float = row == 6 ? 2 : -0.25
                return column == 5 ? 0 : sign * Float(abs(generator.gaussian())) + shift + 0.5 * Float(column / 32)
            })
        func quantized(_ rounding: WeightRounding, _ symmetry: WeightSymmetry) throws -> QuantizedWeights {
            try WeightQuantizer(format: format, rounding: rounding, symmetry: symmetry).quantize(weight.matrix)
        }
        let parts = try quantized(.nearest, .asymmetric), groups = parts.groups
        let layer = try WeightOnlyLinear(weight: parts.packed(), zeroPoints: parts.zeroPoints), dense = layer.denseWeight()
        #expect(parts.zeroPoints.count == n * groups && dense == parts.dequantized())
        #expect(parts.codes.allSatisfy { format.codes.contains(Int32($0)) })
        for row in 0..<n {
            for column in 0..<k {
                let multiplier = parts.multipliers.isEmpty ? 1 : parts.multipliers[row * groups + column * groups / k]
                let step = parts.scales[row] * Float(multiplier)
                // Where the range was moved onto whole codes, a weight at its end may be clipped by half a step more.
                if format.scheme!.bits > 2 { #expect(abs(dense[row, column] - weight[row, column]) <= 1.01 * step, "\(row) \(column)") }
            }
            #expect(dense[row, 5] == 0)
        }
        func squaredError(_ other: Matrix) -> Double {
            (0..<n * k).reduce(0.0) { (sum: Double, place: Int) -> Double in
                let rest = Double(weight.pointer[place] - other[place / k, place % k])
                return sum + rest * rest
            }
        }
        let symmetric = try quantized(.nearest, .symmetric).dequantized()
        #expect(
            squaredError(dense) < (format.scheme!.bits > 2 ? 0.6 : 0.9) * squaredError(symmetric), "\(squaredError(dense)) \(squaredError(symmetric))"
        )
        let searchedError = squaredError(try quantized(.searchedScale, .asymmetric).dequantized())
        #expect(searchedError <= 1.001 * squaredError(dense))
    }

    @Test(arguments: WeightRounding.allCases) func asymmetricWeightsKeepTheAccuracy(rounding: WeightRounding) throws {
        let (network, train, test) = try trained(), before = try evaluate(network, test)
        let configuration = QuantizationConfiguration(
            format: .integer(.w4a8), activations: .none, rounding: rounding, weights: .asymmetric, correctsBias: true)
        let deployed = try Deployment(quantization: configuration).deploy(network, data: train)
        #expect(deployed.layers.allSatisfy { ($0 as? WeightOnlyLinear)?.zeroPoints.isEmpty == false })
        #expect(abs(try evaluate(deployed, test) - before) < 0.03)
        #expect(throws: CompressionError.self) {
            try Deployment(quantization: QuantizationConfiguration(format: .integer(.w4a8), weights: .asymmetric)).deploy(network)
        }
        #expect(throws: CompressionError.self) {
            try Deployment(quantization: QuantizationConfiguration(format: .integer(.ternary), activations: .none, weights: .asymmetric)).deploy(
                network)
        }
    }

    @Test func wrongConfigurationsAreNamed() throws {
        let network = try TrainableNetwork.mlp([64, 20, 4]), data = try data()
        func expectError(_ configuration: QuantizationConfiguration, _ data: LabelledData? = nil) {
            #expect(throws: CompressionError.self) { try Deployment(quantization: configuration).deploy(network, data: data) }
        }
        #expect(throws: CompressionError.outOfRange(what: "layer to quantize", allowed: "fc1, fc2", found: "fc9")) {
            try Deployment(quantization: QuantizationConfiguration(format: .integer(.w8a8), layerFormats: ["fc9": .float32])).deploy(network)
        }
        expectError(QuantizationConfiguration(format: .integer(.w8a8), activations: .static))
        expectError(QuantizationConfiguration(format: .integer(.w8a8), rounding: .gptq))
        expectError(QuantizationConfiguration(format: .integer(.w8a8), samples: 0))
        expectError(QuantizationConfiguration(format: .integer(.w8a8), calibration: .percentile(outside: 1)))
        expectError(QuantizationConfiguration(format: .integer(.w8a8), calibration: .movingAverage(share: 0)))
        expectError(QuantizationConfiguration(format: .integer(.w1a1), activations: .none))
        // What has no effect.
        expectError(QuantizationConfiguration(format: .integer(.w8a8), calibration: .entropy))
        expectError(QuantizationConfiguration(format: .half(.fp16), activations: .none))
        expectError(QuantizationConfiguration(format: .float32, rounding: .gptq), data)
        expectError(QuantizationConfiguration(format: .float32, correctsBias: true), data)
        expectError(QuantizationConfiguration(format: .integer(try .w4a8(groupSize: 32)), rounding: .searchedScale))
        expectError(QuantizationConfiguration(format: .sparse(.single)))
        expectError(QuantizationConfiguration(format: .integer(.w8a8), activations: .static), try Small.data(10, shape: SampleShape(6)))
        #expect(throws: NumericsError.self) { try WeightFormat(named: "w5a8") }
        network.weighted("fc1").weight.value[0, 0] = .nan
        #expect(throws: CompressionError.notFinite(what: "fc1.weight", row: 0, column: 0)) {
            try Deployment(quantization: QuantizationConfiguration(format: .integer(.w8a8))).deploy(network, data: data)
        }
    }
}
