import CompactNumerics
@testable import ModelCompression
import Testing

@Suite struct GradientHistogramTests {
    private static let hard: [Float] = [
        0, -0, 1, -1, 0x1p-24, 0x1p-25, 0x1.000002p-25, -0x1p-25, 0x1p-26, 0x1.fffffep-15, 0x1p-14, 65504, 65519, 65520, 65536, 0x1p-126, 0x1p-149,
        0x1.8p-130,
        .greatestFiniteMagnitude, .infinity, -.infinity, .nan,
    ]

    private func numbers() -> [Float] {
        var generator = SeededGenerator(seed: 3)
        return Self.hard
            + (0..<2000).map { _ in Float(sign: .plus, exponent: Int(generator.uniform() * 60) - 45, significand: Float(1 + generator.uniform())) }
    }

    @Test func exponentsAreThoseOfTheNumbers() throws {
        let numbers = numbers(), histogram = GradientHistogram(Tensor(try Matrix(rows: 1, columns: numbers.count, elements: numbers)))
        #expect(histogram.total == numbers.count)
        for exponent in -149...127 {
            let expected = numbers.count { $0.isFinite && $0 != 0 && Int($0.exponent) == exponent }
            #expect(histogram.count(exponent: exponent) == expected, "\(exponent)")
        }
    }

    /// Shares against rounding each number to FP16.
    @Test(arguments: [Float(1), 1024, 65_536, 0.25]) func sharesAreThoseOfRounding(scale: Float) throws {
        let numbers = numbers(), count = Double(numbers.count)
        let histogram = GradientHistogram(Tensor(try Matrix(rows: 1, columns: numbers.count, elements: numbers)))
        func share(_ isCounted: (Float, Float) -> Bool) -> Double { Double(numbers.count { isCounted($0, FP16($0 * scale).floatValue) }) / count }
        // Multiplication itself may overflow or lose what lies far below FP16's range: the same numbers count.
        #expect(abs(histogram.flushedShare(scale: scale) - share { $0 != 0 && $1 == 0 }) < 1e-12)
        #expect(abs(histogram.overflowShare(scale: scale) - share { _, rounded in !rounded.isFinite }) < 1e-12)
        #expect(abs(histogram.subnormalShare(scale: scale) - share { x, rounded in rounded != 0 && abs(x * scale) < 0x1p-14 }) < 1e-12)
    }

    @Test func theRecorderSeesUnscaledGradients() throws {
        let data = try LabelledData.digits(.training).prefix(100)
        func recorded(_ scaling: LossScaling) throws -> GradientRecorder {
            let configuration = TrainerConfiguration(epochs: 1, batchSize: 50, lossScaling: scaling)
            let trainer = try Trainer(.mlp([64, 20, 10], seed: 2), data: data, configuration: configuration), recorder = GradientRecorder()
            try recorder.attach(to: trainer)
            _ = try trainer.run()
            return recorder
        }
        let plain = try recorded(.none), scaled = try recorded(.fixed(1024))
        #expect(
            Set(plain.layers.keys) == ["fc1", "relu1", "fc2"] && Set(plain.parameters.keys) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"])
        #expect(plain.allLayers.total == 100 * (10 + 20 + 20))
        // A power of two changes no bit of float32 but exponents.
        for exponent in -60...10 { #expect(plain.allLayers.count(exponent: exponent) == scaled.allLayers.count(exponent: exponent)) }
        let trainer = try Trainer(.mlp([64, 10]), data: data, configuration: TrainerConfiguration(lossScaling: .fixed(3)))
        #expect(throws: CompressionError.self) { try GradientRecorder().attach(to: trainer) }
    }

    /// With small outputs' gradients FP16 stops learning, and scaling of the loss brings it back.
    @Test func scalingRestoresWhatFP16Loses() throws {
        let (train, test) = (try LabelledData.digits(.training), try LabelledData.digits(.test))
        let setting = PrecisionSetting(
            name: "digits", widths: [64, 40, 10], outputScale: 0x1p-20,
            training: TrainerConfiguration(epochs: 8, batchSize: 50, learningRate: 5e-3))
        func accuracy(_ arithmetic: Arithmetic, _ scaling: LossScaling) throws -> Double {
            let network = try setting.network(seed: 1)
            let configuration = setting.configuration(arithmetic, scaling, seed: 1)
            _ = try Trainer(network, data: train, configuration: configuration, loss: setting.loss()).run()
            return try evaluate(network, test)
        }
        let (full, half, scaled) = (try accuracy(.float32, .none), try accuracy(.fp16, .none), try accuracy(.fp16, .dynamic))
        #expect(half < full - 0.1 && scaled > full - 0.02, "float32 \(full), FP16 \(half), scaled \(scaled)")
    }
}
