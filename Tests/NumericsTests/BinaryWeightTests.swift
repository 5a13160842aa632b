import CompactNumerics
import Testing

@Suite struct TernaryWeightTests {
    /// The least squared error over every number t of codes that are not zero: the t largest magnitudes, their mean as scale.
    private func leastError(_ weights: [Float]) -> Double {
        let magnitudes = weights.map { Double(abs($0)) }.sorted(by: >)
        let power = magnitudes.reduce(0) { $0 + $1 * $1 }
        var sum = 0.0, least = power
        for (index, magnitude) in magnitudes.enumerated() {
            sum += magnitude
            least = min(least, power - sum * sum / Double(index + 1))
        }
        return least
    }

    private func squaredError(_ weight: Matrix, _ back: Matrix, row: Int, columns: Range<Int>) -> Double {
        columns.reduce(0) { $0 + Double((weight[row, $1] - back[row, $1]) * (weight[row, $1] - back[row, $1])) }
    }

    @Test(arguments: [1, 2, 3, 17, 64, 333]) func channelScalesAreTheBest(columns: Int) throws {
        var generator = SeededGenerator()
        let weight = generator.matrix(9, columns)
        let back = try QuantizedMatrix(weight, scheme: .ternary).dequantized()
        for n in 0..<9 {
            let least = leastError((0..<columns).map { weight[n, $0] })
            #expect(squaredError(weight, back, row: n, columns: 0..<columns) <= least + 1e-5 * Double(columns), "seed \(generator.seed)")
        }
    }

    /// With groups, scales are multiples of 1/127 of the largest, rounded up.
    @Test func groupScalesAreNearTheBest() throws {
        var generator = SeededGenerator()
        let weight = generator.matrix(3, 128)
        let back = try QuantizedMatrix(weight, scheme: QuantizationScheme(named: "ternary-g32")).dequantized()
        for n in 0..<3 {
            for first in stride(from: 0, to: 128, by: 32) {
                let least = leastError((first..<first + 32).map { weight[n, $0] })
                #expect(squaredError(weight, back, row: n, columns: first..<first + 32) <= least * 1.01, "seed \(generator.seed)")
            }
        }
    }

    @Test func knownWeights() throws {
        let rows: [([Float], [Int8], Float)] = [
            ([1, -1, 0.1, 1, -0.1], [1, -1, 0, 1, 0], 1), ([3, 0, 0, 0, 0], [1, 0, 0, 0, 0], 3), ([2, -2, 2, -2, 2], [1, -1, 1, -1, 1], 2),
            ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 0),
        ]
        let weight = Matrix(rows: rows.count, columns: 5) { rows[$0].0[$1] }
        let matrix = try QuantizedMatrix(weight, scheme: .ternary), back = matrix.dequantized()
        for (n, row) in rows.enumerated() {
            #expect(matrix.codes(row: n) == row.1)
            for k in 0..<5 { #expect(back[n, k] == row.2 * Float(row.1[k])) }
        }
    }

    @Test func minusTwoIsNoTernaryCode() {
        #expect(throws: NumericsError.outOfRange(what: "ternary code", allowed: "-1…1", found: "-2")) {
            try QuantizedMatrix(rows: 1, columns: 2, scheme: .ternary, codes: [1, -2], scales: [1])
        }
    }
}

@Suite struct BinaryWeightTests {
    @Test(arguments: ["w1a8", "w1a1", "w1a8-tensor", "w1a1-tensor"]) func scaleIsTheMeanMagnitude(name: String) throws {
        var generator = SeededGenerator()
        let scheme = try QuantizationScheme(named: name), weight = generator.matrix(5, 333)
        let matrix = try QuantizedMatrix(weight, scheme: scheme), back = matrix.dequantized()
        func mean(_ rows: Range<Int>) -> Double {
            rows.reduce(0.0) { sum, n in (0..<333).reduce(sum) { $0 + Double(abs(weight[n, $1])) } } / Double(rows.count * 333)
        }
        for n in 0..<5 {
            let scale = Float(mean(scheme.granularity == .tensor ? 0..<5 : n..<n + 1))
            #expect(matrix.codes(row: n) == (0..<333).map { weight[n, $0] >= 0 ? 1 : -1 })
            for k in 0..<333 { #expect(abs(abs(back[n, k]) - scale) <= scale.ulp && (back[n, k] > 0) == (weight[n, k] >= 0)) }
        }
    }

    /// Codes are never 0, so weights of zero need a scale of zero.
    @Test(arguments: ["w1a8", "w1a1", "w1a8-tensor", "w1a8-g32"]) func zerosStayZero(name: String) throws {
        for value in [0, -0.0, Float.leastNonzeroMagnitude] {
            let weight = Matrix(rows: 3, columns: 64) { _, _ in value }
            let back = try QuantizedMatrix(weight, scheme: QuantizationScheme(named: name)).dequantized()
            for n in 0..<3 { for k in 0..<64 { #expect(abs(back[n, k]) <= .leastNormalMagnitude) } }
        }
    }

    @Test func zeroIsNoBinaryCode() {
        for scheme in [QuantizationScheme.w1a8, .w1a1] {
            #expect(throws: NumericsError.outOfRange(what: "1-bit code", allowed: "-1 and 1", found: "0")) {
                try QuantizedMatrix(rows: 1, columns: 2, scheme: scheme, codes: [1, 0], scales: [1])
            }
        }
    }
}

@Suite struct SignLinearTests {
    /// Multiples of 1/64: their magnitudes add up exactly, in any order.
    private func input(_ rows: Int, _ columns: Int, _ generator: inout SeededGenerator) -> Matrix {
        Matrix(rows: rows, columns: columns) { _, _ in Float(Int.random(in: -64...64, using: &generator)) / 64 }
    }

    /// y = relu(Σ ±1 · (mean |x| · scale) + bias) to the bit, for every number of rows, odd K, all tails of N.
    @Test(arguments: [1, 17, 31, 333]) func givesTheBitsOfItsRules(columns: Int) throws {
        var generator = SeededGenerator()
        for (m, n) in (1...9).flatMap({ m in [1, 15, 16, 17, 33].map { (m, $0) } }) {
            let x = input(m, columns, &generator), codes = generator.codes(.w1a1, n * columns), bias = generator.numbers(n)
            let scales = generator.numbers(n)
            let weight = try QuantizedMatrix(rows: n, columns: columns, scheme: .w1a1, codes: codes, scales: scales)
            for quantization in [ActivationQuantization.dynamic, .fixed(scale: 0.37, zeroPoint: 0)] {
                let y = try QuantizedLinear(weight: weight, bias: bias, activation: .relu, inputQuantization: quantization)(x)
                for row in 0..<m {
                    let mean = (0..<columns).reduce(Float(0)) { $0 + abs(x[row, $1]) } / Float(columns)
                    let scale = quantization == .dynamic ? mean : 0.37
                    for output in 0..<n {
                        let sum = (0..<columns).reduce(0) { $0 + (x[row, $1] >= 0 ? 1 : -1) * Int(codes[output * columns + $1]) }
                        let scaled = Float(sum) * (scale * scales[output])
                        #expect(y[row, output] == max(scaled + bias[output], 0), "\(m)×\(columns)×\(n), seed \(generator.seed)")
                    }
                }
            }
        }
    }

    @Test(arguments: [1, 4, 5, 40]) func threadsDoNotChangeBits(m: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, 130)
        let layer = try QuantizedLinear(Linear(weight: generator.matrix(50, 130), bias: generator.numbers(50)), scheme: .w1a1)
        let serial = layer(x)
        for threads in [2, 3, 7] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == serial.bits) }
    }

    /// Two roundings to signs keep 2/π of a Gaussian product.
    @Test func followsFloat32() throws {
        var generator = SeededGenerator(seed: 13)
        let x = generator.matrix(8, 512), linear = try Linear(weight: generator.matrix(64, 512))
        let y = try QuantizedLinear(linear, scheme: .w1a1)(x), exact = linear(x)
        var dot: Float = 0, power: Float = 0
        for m in 0..<8 {
            for n in 0..<64 {
                dot += y[m, n] * exact[m, n]
                power += exact[m, n] * exact[m, n]
            }
        }
        #expect(dot / power > 0.3 && dot / power < 0.6, "\(dot / power)")
    }

    @Test func signsHaveNoZeroPoint() throws {
        let weight = try QuantizedMatrix(Matrix(rows: 2, columns: 3) { _, _ in 1 }, scheme: .w1a1)
        #expect(throws: NumericsError.self) { try QuantizedLinear(weight: weight, inputQuantization: .fixed(scale: 1, zeroPoint: 1)) }
    }
}
