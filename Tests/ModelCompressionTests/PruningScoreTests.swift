import CompactNumerics
import Foundation
@testable import ModelCompression
import Testing

/// Scores against their formulas on a network of one dense layer, whose gradient is known: ∂L/∂W = (softmax(W·x + b) − onehot)·xᵀ.
@Suite struct PruningScoreTests {
    private let data: LabelledData
    private let network: TrainableNetwork
    private let weights: [Float]
    private let bias: [Float]

    init() throws {
        data = try Small.data(12, shape: SampleShape(5), classes: 3)
        network = try .mlp([5, 3], seed: 2)
        weights = network.weighted("fc1").weight.value.elements
        bias = network.weighted("fc1").bias!.value.elements
    }

    private func gradient(_ sample: Int) -> [Double] {
        let x = (0..<5).map { Double(data.inputs[sample, $0]) }
        let logits = (0..<3).map { n in (0..<5).reduce(Double(bias[n])) { $0 + Double(weights[n * 5 + $1]) * x[$1] } }
        let total = logits.reduce(0) { $0 + exp($1) }
        return (0..<15).map { (exp(logits[$0 / 5]) / total - (data.labels[sample] == $0 / 5 ? 1 : 0)) * x[$0 % 5] }
    }

    private func expect(_ score: PruningScore, batchSize: Int = 1, equals expected: [Double], sourceLocation: SourceLocation = #_sourceLocation)
        throws
    {
        let configuration = PruningConfiguration(sparsity: 0.5, score: score, scoreBatchSize: batchSize)
        let found = try Pruner(network, configuration: configuration, data: data).scores()["fc1"]!
        for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-5 * abs(b) + 1e-9, "\(score)", sourceLocation: sourceLocation) }
        #expect(found.count == expected.count, sourceLocation: sourceLocation)
    }

    @Test func magnitudes() throws {
        try expect(.magnitudeL1, equals: weights.map { Double(abs($0)) })
        try expect(.magnitudeL2, equals: weights.map { Double($0) * Double($0) })
    }

    @Test(arguments: [1, 5, 12]) func gradientTimesWeightIsThatOfAllData(batchSize: Int) throws {
        let sums = (0..<12).map(gradient)
        let expected = (0..<15).map { i in abs(Double(weights[i]) * sums.reduce(0) { $0 + $1[i] } / 12) }
        try expect(.gradientTimesWeight, batchSize: batchSize, equals: expected)
    }

    @Test(arguments: [1, 5, 12]) func secondOrderDiagonalSquaresEachSamplesGradient(batchSize: Int) throws {
        let gradients = (0..<12).map(gradient)
        let w = weights.map(Double.init)
        let fisher = (0..<15).map { (i: Int) -> Double in gradients.reduce(0.0) { $0 + $1[i] * $1[i] } / 12 }
        try expect(.secondOrderDiagonal, batchSize: batchSize, equals: (0..<15).map { (i: Int) -> Double in fisher[i] * w[i] * w[i] / 2 })
        if batchSize == 1 { try expect(.taylor, equals: (0..<15).map { (i: Int) -> Double in fisher[i] * w[i] * w[i] }) }
        #expect(network.weighted("fc1").product is FloatProduct)
    }

    /// Two samples in a batch of two: gradients that cancel count for the second order and not for Taylor.
    @Test func cancellingGradientsTellSecondOrderFromTaylor() throws {
        let network = try TrainableNetwork.mlp([2, 2], seed: 1), layer = network.weighted("fc1")
        layer.weight.value.assign(Tensor(try Matrix(rows: 2, columns: 2, elements: [0.5, 0.5, 0.5, 0.5])))
        layer.bias!.value.fill(0)
        // Both classes alike for both samples; of input 0 both samples have 1, of input 1 they have 0.1 and −0.1.
        let data = try LabelledData(
            inputs: Matrix(rows: 2, columns: 2, elements: [1, 0.1, 1, -0.1]), labels: [0, 1], classes: 2, shape: SampleShape(2))
        func scores(_ score: PruningScore) throws -> [Double] {
            try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, score: score, scoreBatchSize: 2), data: data).scores()["fc1"]!
        }
        let (taylor, second) = (try scores(.taylor), try scores(.secondOrderDiagonal))
        #expect(taylor[0] < 1e-9 && taylor[1] > 1e-5, "\(taylor)")
        #expect(second[0] > 50 * second[1] && second[1] > 0, "\(second)")
    }

    /// Of convolutions, behind normalization and pooling: the same as by the loss's own differences, sample by sample.
    @Test func secondOrderDiagonalEqualsFiniteDifferences() throws {
        let network = try Small.lenet5(), data = try Small.data(6, shape: SampleShape(height: 12, width: 12, channels: 2))
        func scores(_ score: PruningScore, _ batchSize: Int) throws -> [String: [Double]] {
            let configuration = PruningConfiguration(sparsity: 0.5, score: score, scoreBatchSize: batchSize)
            return try Pruner(network, configuration: configuration, data: data).scores()
        }
        func loss(_ sample: Int) -> Double {
            let logits = network.predict(data.selecting([sample]).inputs), values = (0..<4).map { Double(logits[0, $0]) }
            return LogSum.of(values) - values[data.labels[sample]]
        }
        let found = try scores(.secondOrderDiagonal, 4), single = try scores(.taylor, 1), batch = try scores(.taylor, 4)
        for layer in network.weightedLayers {
            let values = found[layer.name]!, scale = values.max()!
            for (a, b) in zip(values, single[layer.name]!) { #expect(abs(a - b / 2) <= 1e-4 * b + 1e-6 * scale, "\(layer.name)") }
            #expect(zip(values, batch[layer.name]!).contains { abs($0 - $1 / 2) > 0.1 * $0 }, "\(layer.name)")
            let index = values.firstIndex(of: scale)!, weight = layer.weight.value, original = weight.pointer[index]
            let step: Float = 2.5e-4
            let squares = (0..<6).map { sample -> Double in
                weight.pointer[index] = original + step
                let above = loss(sample)
                weight.pointer[index] = original - step
                let below = loss(sample)
                weight.pointer[index] = original
                return pow((above - below) / Double(2 * step), 2)
            }
            let expected = 0.5 * pow(Double(original), 2) * squares.reduce(0, +) / 6
            #expect(abs(scale - expected) < 0.05 * expected, "\(layer.name): \(scale), by differences \(expected)")
        }
    }

    @Test func taylorOfBatchesSquaresTheirMeans() throws {
        let gradients = (0..<12).map(gradient)
        let expected = (0..<15).map { i in
            stride(from: 0, to: 12, by: 4).reduce(0.0) { sum, start in
                let mean = (start..<start + 4).reduce(0) { $0 + gradients[$1][i] } / 4
                return sum + pow(Double(weights[i]) * mean, 2) / 3
            }
        }
        try expect(.taylor, batchSize: 4, equals: expected)
    }

    @Test func activationTimesWeight() throws {
        let norms = (0..<5).map { k in (0..<12).reduce(0) { $0 + pow(Double(data.inputs[$1, k]), 2) }.squareRoot() }
        try expect(.activationTimesWeight, batchSize: 5, equals: (0..<15).map { Double(abs(weights[$0])) * norms[$0 % 5] })
        #expect(network.weighted("fc1").product is FloatProduct)
    }

    /// H · H⁻¹ = 1 by the scores' diagonal, from a Gauss–Jordan inverse.
    @Test func secondOrderScoresUseTheInverseHessian() throws {
        let inverse = inverted(hessian())
        try expect(.secondOrderCorrected, batchSize: 7, equals: (0..<15).map { 0.5 * pow(Double(weights[$0]), 2) / inverse[$0 % 5][$0 % 5] })
    }

    private func hessian() -> [[Double]] {
        var h = (0..<5).map { i in (0..<5).map { j in (0..<12).reduce(0) { $0 + Double(data.inputs[$1, i]) * Double(data.inputs[$1, j]) } / 6 } }
        let damping = (0..<5).reduce(0) { $0 + h[$1][$1] } / 5 * 0.01
        for i in 0..<5 { h[i][i] += damping }
        return h
    }

    private func inverted(_ matrix: [[Double]]) -> [[Double]] {
        let n = matrix.count
        var a = matrix.enumerated().map { row, values in values + (0..<n).map { $0 == row ? 1 : 0 } }
        for i in 0..<n {
            let pivot = a[i][i]
            for k in 0..<2 * n { a[i][k] /= pivot }
            for r in 0..<n where r != i {
                let factor = a[r][i]
                for k in 0..<2 * n { a[r][k] -= factor * a[i][k] }
            }
        }
        return a.map { Array($0[n...]) }
    }

    /// The best correction of the kept weights solves the normal equations of those behind the pruned one; with one pruned weight, the
    /// first, that is OBS itself: δw = −w₀ / [H⁻¹]₀₀ · H⁻¹ e₀.
    @Test func correctionOfOnePrunedWeightIsOBS() throws {
        let weight = network.weighted("fc1").weight
        for row in 0..<3 { weight.value[row, 0] = 1e-4 * Float(row + 1) }
        let before = weight.value.elements
        let inverse = inverted(hessian())
        let configuration = PruningConfiguration(sparsity: 0.2, score: .secondOrderCorrected, scope: .output, scoreBatchSize: 7)
        try Pruner(network, configuration: configuration, data: data).prune()
        for row in 0..<3 {
            #expect(weight.value[row, 0] == 0)
            for k in 1..<5 {
                let expected = Double(before[row * 5 + k]) - Double(before[row * 5]) / inverse[0][0] * inverse[0][k]
                #expect(abs(Double(weight.value[row, k]) - expected) < 1e-6)
            }
        }
    }

    @Test func correctionLowersTheErrorOfOutputs() throws {
        let data = try Small.data(200, shape: SampleShape(16), classes: 4)
        // Correlated inputs, which a correction can use.
        var inputs = data.inputs
        for row in 0..<200 { for k in 1..<16 { inputs[row, k] = 0.8 * inputs[row, k - 1] + 0.6 * inputs[row, k] } }
        let correlated = try LabelledData(inputs: inputs, labels: data.labels, classes: 4, shape: data.shape)
        func error(_ score: PruningScore) throws -> Double {
            let network = try TrainableNetwork.mlp([16, 12, 4], seed: 7)
            let before = network.predict(inputs)
            let configuration = PruningConfiguration(sparsity: 0.5, score: score, scope: .layer, excludedLayers: ["fc2"])
            try Pruner(network, configuration: configuration, data: correlated).prune()
            let after = network.predict(inputs)
            return (0..<200).reduce(0) { sum, row in (0..<4).reduce(sum) { $0 + pow(Double(before[row, $1] - after[row, $1]), 2) } }
        }
        let (corrected, plain) = (try error(.secondOrderCorrected), try error(.magnitudeL1))
        #expect(corrected < 0.8 * plain)
    }

    @Test func everyScorePrunesAConvolutionalNetwork() throws {
        let data = try Small.data(20, shape: SampleShape(height: 12, width: 12, channels: 2))
        for score in [
            PruningScore.magnitudeL1, .magnitudeL2, .random(seed: 1), .gradientTimesWeight, .taylor, .activationTimesWeight, .secondOrderDiagonal,
            .secondOrderCorrected,
        ] {
            let network = try Small.lenet5()
            let report = try Pruner(network, configuration: PruningConfiguration(sparsity: 0.75, score: score, scope: .global), data: data).prune()
            #expect(report.kept == report.weights - Int((0.75 * Double(report.weights)).rounded()), "\(score)")
            let finite = network.predict(data.inputs)
            #expect((0..<20).allSatisfy { row in (0..<4).allSatisfy { finite[row, $0].isFinite } })
        }
    }
}
