import CompactNumerics
import Foundation
@testable import ModelCompression
import Testing

/// Numbers times 2ᵏ have scales times 2ᵏ and the same codes.
@Suite struct NumbersOfAnySizeTests {
    static let exponents = [-60, -59, -41, -30, -20, -10, -1, 1, 7, 23, 40, 59, 60]
    static let methods: [CalibrationMethod] = [.minMax, .movingAverage(share: 0.3), .percentile(outside: 0.01), .meanSquaredError, .entropy]
    static let formats = [
        "w8a8", "w8a8-tensor", "w8a8-g32", "w8a7", "w4a8", "w4a8-tensor", "w4a8-g32", "w3a8", "w3a8-tensor", "w2a8", "w2a8-tensor", "w2a8-g64",
        "ternary", "ternary-g32", "w1a8", "w1a8-g32", "w1a1",
    ]

    private static func power(_ exponent: Int) -> Float { Float(sign: .plus, exponent: exponent, significand: 1) }

    private static func estimate(_ method: CalibrationMethod, _ values: [Float], factor: Float = 1, batch: Int = 100) -> RangeEstimator {
        var estimator = RangeEstimator(method)
        for start in stride(from: 0, to: values.count, by: batch) {
            values[start..<min(start + batch, values.count)].map { $0 * factor }.withUnsafeBufferPointer { estimator.add($0) }
        }
        return estimator
    }

    /// Gaussian numbers, more on one side, some zeros, and some far away.
    private static func numbers(_ count: Int, seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { $0 % 17 == 0 ? 0 : Float(generator.gaussian()) + 0.5 + ($0 % 500 == 499 ? 9 : 0) }
    }

    @Test(arguments: methods) func estimators(method: CalibrationMethod) {
        let values = Self.numbers(3000, seed: 21), base = Self.estimate(method, values)
        for exponent in Self.exponents {
            let factor = Self.power(exponent), found = Self.estimate(method, values, factor: factor)
            #expect(found.range == base.range.lowerBound * factor...base.range.upperBound * factor, "2^\(exponent)")
            for (highest, symmetric) in [(255, false), (127, false), (255, true)] {
                guard case .fixed(let scale, let zero) = base.quantization(highest: highest, symmetric: symmetric),
                    case .fixed(let scaled, let sameZero) = found.quantization(highest: highest, symmetric: symmetric)
                else { Issue.record("dynamic"); return }
                #expect(scaled == scale * factor && sameZero == zero, "2^\(exponent) \(highest) \(symmetric)")
            }
        }
    }

    /// Batches of zeros first, the smallest first, the largest first: one result, but for moving averages.
    @Test(arguments: [CalibrationMethod.minMax, .percentile(outside: 0.01), .meanSquaredError, .entropy])
    func orderDoesNotMatter(method: CalibrationMethod) {
        let values = Self.numbers(2000, seed: 22).enumerated().map { $1 * Self.power($0 % 5 * 4) }, range = Self.estimate(method, values).range
        let ascending = values.sorted { abs($0) < abs($1) }
        for order in [ascending, ascending.reversed(), values.reversed()] {
            for batch in [1, 64, 2000] { #expect(Self.estimate(method, order, batch: batch).range == range) }
        }
    }

    @Test(arguments: [0, -30, -60, 30]) func oneOutlierDoesNotMakeTheRange(exponent: Int) {
        var generator = SeededGenerator(seed: 23)
        let values = (0..<100_000).map { _ in Float(generator.uniform()) } + [100]
        let range = Self.estimate(.percentile(), values, factor: Self.power(exponent), batch: 1000).range
        #expect(range.lowerBound == 0 && abs(range.upperBound / Self.power(exponent) - 1) < 0.1, "\(range)")
    }

    @Test(arguments: methods) func extremesAndInfinityDoNotCrash(method: CalibrationMethod) {
        for values: [Float] in [[3e38, -3e38, 1], [-3.4e38], [.leastNonzeroMagnitude, -.leastNonzeroMagnitude], [0, 0], [1e-38, 3e38]] {
            let estimator = Self.estimate(method, values)
            for symmetric in [false, true] {
                guard case .fixed(let scale, let zero) = estimator.quantization(highest: 255, symmetric: symmetric) else { return }
                #expect(scale.isFinite && scale >= .leastNormalMagnitude && (0...255).contains(zero), "\(values) \(scale) \(zero)")
            }
            #expect(estimator.isFinite)
        }
        let infinite = Self.estimate(method, [1, .infinity, -2, -.infinity, .nan])
        #expect(!infinite.isFinite && infinite.count == 5 && infinite.range.lowerBound >= -2 && infinite.range.upperBound <= 1)
        #expect(infinite.range.upperBound > 0.1)
    }

    @Test(arguments: formats, WeightRounding.allCases) func weights(name: String, rounding: WeightRounding) throws {
        let format = try WeightFormat(named: name), (n, k) = (5, 150)
        if rounding == .searchedScale, format.scheme!.group > 0 { return }
        var generator = SeededGenerator(seed: 24)
        // A zero output, a zero group, and an output that is much smaller than the others.
        let weight = Matrix(rows: n, columns: k) { row, column in
            let value = Float(generator.gaussian())
            return row == 1 || row == 2 && (32..<64).contains(column) ? 0 : row == 3 ? value * 0x1p-9 : value
        }
        let x = Matrix(rows: 40, columns: k) { _, _ in Float(generator.gaussian()) }
        let isAffine = format.scheme!.bits > 1 && !format.scheme!.isTernary
        for symmetry in isAffine ? WeightSymmetry.allCases : [.symmetric] {
            let configuration = QuantizationConfiguration(
                format: format, activations: name == "w1a1" ? .dynamic : .none, rounding: rounding, weights: symmetry)
            func quantized(_ factor: Float, inputs: Float = 1) throws -> QuantizedWeights {
                var statistics = LayerStatistics(inputs: k, for: configuration)
                try statistics.add(Matrix(rows: 40, columns: k) { x[$0, $1] * inputs })
                let linear = try Linear(weight: Matrix(rows: n, columns: k) { weight[$0, $1] * factor })
                return try LinearQuantizer(configuration).weights(of: linear, statistics: statistics)
            }
            let base = try quantized(1)
            for exponent in Self.exponents {
                let found = try quantized(Self.power(exponent), inputs: Self.power(-exponent))
                #expect(found.codes == base.codes, "2^\(exponent) \(symmetry)")
                #expect(found.multipliers == base.multipliers && found.zeroPoints == base.zeroPoints)
                // The output of zeros has no size of its own.
                for row in 0..<n where row != 1 || configuration.format.scheme!.granularity == .tensor {
                    #expect(found.scales[row] == base.scales[row] * Self.power(exponent), "row \(row), 2^\(exponent) \(symmetry)")
                }
            }
            // Inputs whose squares do not fit into float32, or vanish there.
            if rounding == .gptq {
                for inputs: Float in [0x1p+60, 0x1p+70, 0x1p-80] {
                    #expect(try quantized(1, inputs: inputs).codes == base.codes, "inputs × \(inputs)")
                }
            }
        }
    }

    @Test(arguments: ["w8a8", "w8a7", "w4a8", "w4a8-tensor", "w3a8", "w2a8", "ternary", "ternary-tensor", "w1a8"])
    func trainingBeginsWithTheSameCodes(name: String) throws {
        let format = try WeightFormat(named: name), (n, k) = (4, 50)
        let values = Self.numbers(n * k, seed: 25), inputs = Self.estimate(.percentile(outside: 0.01), Self.numbers(500, seed: 26))
        func trained(_ factor: Float) throws -> (codes: [[Int8]], scales: [Float], input: ActivationQuantization) {
            let weight = Parameter(name: "w", value: Tensor(Matrix(rows: n, columns: k) { values[$0 * k + $1] * factor }), decays: true)
            guard case .fixed(let scale, let zero) = inputs.quantization(highest: Int(format.scheme!.activations.highest)) else { fatalError() }
            let product = try QuantizedTrainingProduct(
                layer: "fc", weight: weight, format: format, inputQuantization: .fixed(scale: scale * factor, zeroPoint: zero))
            let layer = try product.deployed(DenseLayer("fc", weight: weight, bias: nil), Linear(weight: weight.value.matrix))
            return ((0..<n).map { layer.weight.codes(row: $0) }, layer.weight.unpacked().scales, layer.inputQuantization)
        }
        let base = try trained(1)
        guard case .fixed(let baseScale, let baseZero) = base.input else { return }
        for exponent in Self.exponents {
            let found = try trained(Self.power(exponent))
            #expect(found.codes == base.codes && found.scales == base.scales.map { $0 * Self.power(exponent) }, "2^\(exponent)")
            #expect(found.input == .fixed(scale: baseScale * Self.power(exponent), zeroPoint: baseZero))
        }
    }

    /// Every scale comes back from its logarithm, to 14 bits, and all exponents give the same bits.
    @Test func logarithmsOfScalesAreExact() {
        var generator = SeededGenerator(seed: 27)
        for _ in 0..<2000 {
            let scale = Float(1 + generator.uniform()), back = LearnedScale.scale(ofLogarithm: LearnedScale.logarithm(of: scale))
            #expect(abs(back / scale - 1) <= 0x1p-14)
            for exponent in stride(from: -125, through: 124, by: 13) {
                let scaled = LearnedScale.scale(ofLogarithm: LearnedScale.logarithm(of: scale * Self.power(exponent)))
                #expect(scaled == back * Self.power(exponent), "\(scale) 2^\(exponent)")
            }
        }
        #expect(LearnedScale.scale(ofLogarithm: LearnedScale.none) == .leastNormalMagnitude)
    }
}
