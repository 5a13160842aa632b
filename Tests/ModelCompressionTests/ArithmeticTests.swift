import CompactNumerics
@testable import ModelCompression
import Testing

/// Training in reduced arithmetic against the scalar number formats of CompactNumerics.
@Suite struct ArithmeticTests {
    private static func rounded(_ x: Double, _ arithmetic: Arithmetic) -> Double {
        switch arithmetic {
        case .fp16: Double(FP16(Float(x)).floatValue)
        case .bf16: Double(BF16(Float(x)).floatValue)
        case .tf32: Double(TF32(Float(x)).floatValue)
        case .float32: x
        }
    }

    /// 13 significant bits in ½ ≤ x < 1: more than any reduced format holds, and few enough for all sums below to be exact in float32, so
    /// that their order cannot matter.
    private static func fill(_ tensor: Tensor, _ generator: inout SeededGenerator) -> [Double] {
        for index in 0..<tensor.count { tensor.pointer[index] = Float(4096 + generator.index(below: 4096)) / 8192 }
        return tensor.elements.map(Double.init)
    }

    /// 2 → 2 → 2 with ReLU, forward and backward, with every operand, activation, gradient and weight copy rounded where it is made.
    @Test(arguments: [Arithmetic.fp16, .bf16, .tf32], [UInt64(1), 2, 3, 4, 5])
    func everyNumberIsRoundedBitExactly(arithmetic: Arithmetic, seed: UInt64) throws {
        func r(_ x: Double) -> Double { Self.rounded(x, arithmetic) }
        var generator = SeededGenerator(seed: seed)
        let network = try TrainableNetwork.mlp([2, 2, 2])
        let p = network.parameters.map { Self.fill($0.value, &generator) }
        let x = Tensor(rows: 1, columns: 2), dy = Tensor(rows: 1, columns: 2)
        let xs = Self.fill(x, &generator), ds = Self.fill(dy, &generator)
        func product(_ x: [Double], _ w: [Double], _ b: [Double]) -> [Double] {
            (0..<2).map { n in r(r(x[0]) * r(w[2 * n]) + r(x[1]) * r(w[2 * n + 1]) + r(b[n])) }
        }
        let hidden = product(xs, p[0], p[1]), y = product(hidden, p[2], p[3])
        let d = ds.map(r)
        let dHidden = (0..<2).map { k in r(d[0] * r(p[2][k]) + d[1] * r(p[2][2 + k])) }
        func outer(_ d: [Double], _ x: [Double]) -> [Double] { (0..<4).map { r(d[$0 / 2] * r(x[$0 % 2])) } }

        let context = TrainingContext(isTraining: true, arithmetic: arithmetic)
        #expect(network.forward(x, context: context).elements.map(Double.init) == y)
        network.backward(dy, context: context)
        let found = network.parameters.map { $0.gradient.elements.map(Double.init) }
        #expect(found == [outer(dHidden, xs), dHidden, outer(d, hidden), d], "seed \(seed)")
        #expect(network.parameters.map { $0.value.elements.map(Double.init) } == p, "masters stay float32")
    }

    /// Everything that passes between layers, through all kinds of them.
    @Test(arguments: [Arithmetic.fp16, .bf16, .tf32]) func everyLayersNumbersBelongToTheFormat(arithmetic: Arithmetic) throws {
        var generator = SeededGenerator(seed: 4)
        let w = try windows(8, 8, 2, window: (3, 3), padding: 1)
        let layers: [any TrainableLayer] = [
            Conv2DLayer("conv", windows: w, outputChannels: 4, generator: &generator), BatchNormLayer("bn", channels: 4), ReLULayer("relu"),
            MaxPoolLayer("max", windows: try windows(8, 8, 4, window: (2, 2), stride: 2)),
            AveragePoolLayer("average", windows: try windows(4, 4, 4, window: (3, 3), padding: 1)), FlattenLayer("flatten"),
            try DropoutLayer("drop", rate: 0.3), DenseLayer("fc", inputs: 64, outputs: 5, generator: &generator),
        ]
        let network = try TrainableNetwork(inputShape: SampleShape(height: 8, width: 8, channels: 2), layers: layers)
        func belongs(_ tensor: Tensor) -> Bool {
            tensor.elements.allSatisfy { Self.rounded(Double($0), arithmetic) == Double($0) }
        }
        var observed: [Bool] = []
        network.gradientObserver = { _, gradient in observed.append(belongs(gradient)) }
        let context = TrainingContext(isTraining: true, arithmetic: arithmetic, stepSeed: 3)
        #expect(belongs(network.forward(generator.tensor(6, 128), context: context)))
        network.backward(generator.tensor(6, 5), context: context)
        #expect(observed == [Bool](repeating: true, count: 8))
        #expect(network.parameters.allSatisfy { belongs($0.gradient) })
    }

    /// γ, β and the normalized numbers are product operands, so they are rounded too. With these statistics x is its own normalization.
    @Test(arguments: [Arithmetic.fp16, .bf16, .tf32]) func batchNormRoundsItsOperands(arithmetic: Arithmetic) {
        func r(_ x: Double) -> Double { Self.rounded(x, arithmetic) }
        var generator = SeededGenerator(seed: 9)
        let layer = BatchNormLayer("bn", channels: 3, epsilon: 0)
        let gamma = Self.fill(layer.gamma.value, &generator), beta = Self.fill(layer.beta.value, &generator)
        let x = Tensor(rows: 4, columns: 3), values = Self.fill(x, &generator)
        let y = layer.forward(x, context: TrainingContext(arithmetic: arithmetic)).elements.map(Double.init)
        #expect(y == values.indices.map { r(values[$0]) * r(gamma[$0 % 3]) + r(beta[$0 % 3]) })
        let dy = Tensor(rows: 4, columns: 3), ds = Self.fill(dy, &generator)
        let dx = layer.backward(dy, needsInputGradient: true, context: TrainingContext(arithmetic: arithmetic))
        #expect(dx?.elements.map(Double.init) == ds.indices.map { Double(Float(ds[$0] * r(gamma[$0 % 3]))) })
    }
}
