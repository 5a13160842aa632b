@testable import CompactNumerics
import Testing

@Suite struct LinearTests {
    @Test(arguments: [(1, 7, 5), (3, 64, 33), (17, 1, 9), (2, 100, 1)]) func isTheProductPlusBias(m: Int, k: Int, n: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, k), weight = generator.matrix(n, k), bias = generator.numbers(n)
        let y = try Linear(weight: weight, bias: bias)(x)
        #expect(worstError(y, reference(x, weight, bias), terms: k) <= 1, "seed \(generator.seed)")
        let rectified = try Linear(weight: weight, bias: bias, activation: .relu)(x)
        #expect(rectified.bits == y.withUnsafeBufferPointer { $0.map { ($0 < 0 ? 0 : $0).bitPattern } })
    }

    @Test func wrongBias() {
        #expect(throws: NumericsError.shapeMismatch(what: "bias", expected: "2 numbers", found: "3")) {
            try Linear(weight: Matrix(rows: 2, columns: 2), bias: [1, 2, 3])
        }
    }

    @Test func theBLASSaysItsName() {
        #expect(!BLASLibrary.description.isEmpty)
    }
}

@Suite struct QuantizedLinearTests {
    static let schemes = [
        "w8a8", "w8a7", "w8a8-g64", "w4a8", "w4a8-g32", "w4a8-g64", "w2a8", "w2a8-g32", "w8a8-tensor",
        "ternary", "ternary-g32", "w1a8", "w1a8-g64", "w1a8-tensor",
    ]

    /// The integers of the deployed layer, recomputed from the documented rules: with dynamic activations, the float output is
    /// x_scale · scale · (an exact integer) + bias.
    @Test(arguments: schemes, [1, 3, 6]) func followsItsRules(name: String, m: Int) throws {
        let scheme = try QuantizationScheme(named: name)
        var generator = SeededGenerator()
        let (k, n) = (128, 21)
        let x = generator.matrix(m, k), linear = try Linear(weight: generator.matrix(n, k), bias: generator.numbers(n))
        let layer = try QuantizedLinear(linear, scheme: scheme)
        let y = layer(x), weight = layer.denseWeight()
        let highest: Float = scheme.activations == .uint7 ? 127 : 255
        for row in 0..<m {
            let values = (0..<k).map { x[row, $0] }
            let low = min(values.min()!, 0), high = max(values.max()!, 0)
            let scale = (high - low) / highest, inverse = 1 / scale
            let zero = min(max((-low * inverse).rounded(.toNearestOrEven), 0), highest)
            let codes = values.map { min(max(($0 * inverse).rounded(.toNearestOrEven) + zero, 0), highest) }
            for output in 0..<n {
                // In float64 every product of codes and dequantized weights is exact enough to tell one integer from the next.
                let sum = (0..<k).reduce(0.0) { $0 + Double(codes[$1] - zero) * Double(weight[output, $1]) }
                let expected = sum * Double(scale) + Double(linear.bias![output])
                #expect(abs(Double(y[row, output]) - expected) <= 1e-5 * (abs(expected) + 1), "\(name), seed \(generator.seed)")
            }
        }
    }

    /// With scales that are powers of two, the whole layer is known to the bit: codes of the activations by the documented rule in
    /// float32, exact integer sums, one product with the scales, one sum with the bias.
    @Test(arguments: schemes, [1, 4, 9]) func givesTheBitsOfItsRules(name: String, m: Int) throws {
        let scheme = try QuantizationScheme(named: name)
        var generator = SeededGenerator()
        let (k, n) = (192, 19)
        let groups = { if case .group(let size) = scheme.granularity { k / size } else { 0 } }()
        let codes = generator.codes(scheme, n * k)
        let multipliers = (0..<n * groups).map { _ in Int8.random(in: -127...127, using: &generator) }
        let scales = (0..<n).map { Float(sign: $0 % 2 == 0 ? .plus : .minus, exponent: -8 - $0, significand: 1) }
        let weight = try QuantizedMatrix(rows: n, columns: k, scheme: scheme, codes: codes, multipliers: multipliers, scales: scales)
        let bias = generator.numbers(n), x = generator.matrix(m, k)
        let most: Float = scheme.activations == .uint7 ? 127 : 255
        for quantization in [ActivationQuantization.dynamic, .fixed(scale: 0.013, zeroPoint: 51)] {
            let y = try QuantizedLinear(weight: weight, bias: bias, activation: .relu, inputQuantization: quantization)(x)
            for row in 0..<m {
                let (inputs, scale) = activations((0..<k).map { x[row, $0] }, quantization, most)
                for output in 0..<n {
                    var sum = 0
                    for index in 0..<k {
                        let multiplier = groups == 0 ? 1 : Int(multipliers[output * groups + index * groups / k])
                        sum += inputs[index] * multiplier * Int(codes[output * k + index])
                    }
                    let scaled = Float(sum) * (scale * scales[output])
                    let expected = max(scaled + bias[output], 0)
                    #expect(y[row, output] == expected, "\(name) \(quantization) [\(row), \(output)], seed \(generator.seed)")
                }
            }
        }
    }

    /// Codes of one row, less the zero point, and their scale.
    private func activations(_ values: [Float], _ quantization: ActivationQuantization, _ highest: Float) -> (codes: [Int], scale: Float) {
        let scale: Float, inverse: Float, zero: Float
        switch quantization {
        case .dynamic:
            let low = min(values.min()!, 0), high = max(values.max()!, 0)
            scale = (high - low) / highest
            inverse = 1 / scale
            zero = min(max((-low * inverse).rounded(.toNearestOrEven), 0), highest)
        case .fixed(let fixed, let zeroPoint):
            (scale, inverse, zero) = (fixed, 1 / fixed, Float(zeroPoint))
        }
        return (values.map { Int(min(max(($0 * inverse).rounded(.toNearestOrEven) + zero, 0), highest) - zero) }, scale)
    }

    @Test(arguments: schemes) func isNearFloat32(name: String) throws {
        let scheme = try QuantizationScheme(named: name)
        var generator = SeededGenerator(seed: 11)
        let x = generator.matrix(5, 256), linear = try Linear(weight: generator.matrix(40, 256))
        let y = try QuantizedLinear(linear, scheme: scheme)(x), exact = linear(x)
        var error: Float = 0, power: Float = 0
        for m in 0..<5 {
            for n in 0..<40 {
                error += (y[m, n] - exact[m, n]) * (y[m, n] - exact[m, n])
                power += exact[m, n] * exact[m, n]
            }
        }
        let allowed: Float = scheme.bits == 8 ? 0.02 : scheme.bits == 4 ? 0.15 : scheme.bits == 2 ? 0.6 : 0.7
        #expect((error / power).squareRoot() < allowed, "\(name)")
    }

    @Test(arguments: schemes, [1, 4, 5, 40]) func threadsDoNotChangeBits(name: String, m: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, 128)
        let layer = try QuantizedLinear(
            Linear(weight: generator.matrix(50, 128), bias: generator.numbers(50), activation: .relu), scheme: QuantizationScheme(named: name))
        let serial = layer(x)
        for threads in [2, 3, 7] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == serial.bits) }
        var workspace = Workspace()
        for _ in 0..<2 {
            var y = Matrix(rows: m, columns: 50)
            layer.apply(x, into: &y, workspace: &workspace, parallelism: .serial)
            #expect(y.bits == serial.bits)
        }
    }

    /// Large enough for two threads to be at work at the same time: each needs scratch memory of its own.
    /// A large batch is multiplied in chunks of 256 rows at most: each row must come out as it does alone with a few others.
    @Test(arguments: ["w8a8", "w4a8-g32", "w2a8"], [255, 256, 257, 531]) func chunksDoNotChangeBits(name: String, m: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, 64)
        let linear = try Linear(weight: generator.matrix(21, 64), bias: generator.numbers(21))
        for quantization in [ActivationQuantization.dynamic, .fixed(scale: 0.01, zeroPoint: 100)] {
            let layer = try QuantizedLinear(linear, scheme: QuantizationScheme(named: name), inputQuantization: quantization)
            let whole = layer(x).bits
            var parts: [UInt32] = []
            for first in stride(from: 0, to: m, by: 30) {
                parts += layer(Matrix(rows: min(30, m - first), columns: 64) { x[first + $0, $1] }).bits
            }
            #expect(whole == parts, "seed \(generator.seed)")
            var threaded = Matrix(rows: m, columns: 21), workspace = Workspace()
            layer.apply(x, into: &threaded, workspace: &workspace, parallelism: Parallelism(threads: 3, cutsSmallWork: true))
            #expect(threaded.bits == whole)
        }
    }

    @Test(arguments: ["w8a8", "w4a8-g32", "f16"]) func threadsDoNotDisturbOneAnother(name: String) throws {
        let linear = try Linear(weight: Matrix(rows: 512, columns: 1024) { Float(($0 * 37 + $1 * 101) % 127 - 63) })
        let layer: any LinearLayer =
            name == "f16" ? try HalfLinear(linear, format: .fp16) : try QuantizedLinear(linear, scheme: QuantizationScheme(named: name))
        let x = Matrix(rows: 600, columns: 1024) { Float(($0 * 91 + $1 * 53) % 255) - 100 }
        let serial = layer(x)
        // Whether threads meet is up to the system, so this goes on for a while.
        let end = ContinuousClock.now + .milliseconds(500)
        repeat {
            let agrees = layer(x, parallelism: Parallelism(threads: 2, cutsSmallWork: true)) == serial
            try #require(agrees)
        } while ContinuousClock.now < end
    }

    @Test func fixedActivationsClampAtTheirRange() throws {
        let weight = Matrix(rows: 1, columns: 4) { _, _ in 1 }
        var layer = try QuantizedLinear(Linear(weight: weight), scheme: .w8a8, inputQuantization: .fixed(scale: 0.5, zeroPoint: 10))
        let x = try Matrix(rows: 2, columns: 4, elements: [1, 2, 1000, -1000, 0.24, 0.26, .nan, 0])
        let y = layer(x)
        // Codes 12, 14, 255, 0 and 10, 11, 0 (NaN), 10.
        #expect(abs(y[0, 0] - 0.5 * Float(2 + 4 + 245 - 10)) < 1e-3)
        #expect(abs(y[1, 0] - 0.5 * Float(0 + 1 - 10 + 0)) < 1e-3)
        layer.inputQuantization = .dynamic
        #expect(abs(layer(try Matrix(rows: 1, columns: 4, elements: [1, 2, 3, 4]))[0, 0] - 10) < 0.05)
        for wrong in [
            ActivationQuantization.fixed(scale: 0, zeroPoint: 0), .fixed(scale: .nan, zeroPoint: 0), .fixed(scale: 1, zeroPoint: 256),
            .fixed(scale: -1, zeroPoint: 3),
        ] {
            #expect(throws: NumericsError.self) { try QuantizedLinear(Linear(weight: weight), scheme: .w8a8, inputQuantization: wrong) }
        }
    }

    @Test(arguments: [1, 9]) func requantizedOutputs(m: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, 64)
        let layer = try QuantizedLinear(Linear(weight: generator.matrix(18, 64), bias: generator.numbers(18)), scheme: .w8a8)
        let y = layer(x), codes = layer.requantized(x, scale: 0.2, zeroPoint: 100), signed = layer.requantizedSymmetric(x, scale: 0.2)
        for row in 0..<m {
            for column in 0..<18 {
                let rounded = (y[row, column] * (1 / 0.2 as Float)).rounded(.toNearestOrEven)
                #expect(Float(codes[row * 18 + column]) == min(max(rounded + 100, 0), 255), "seed \(generator.seed)")
                #expect(Float(signed[row * 18 + column]) == min(max(rounded, -127), 127), "seed \(generator.seed)")
            }
        }
    }

    @Test func noRowsGiveNoRows() throws {
        let linear = try Linear(weight: Matrix(rows: 3, columns: 32))
        for layer in [linear, try QuantizedLinear(linear, scheme: .w8a8), try HalfLinear(linear, format: .fp16)] as [any LinearLayer] {
            let y = layer(Matrix(rows: 0, columns: 32))
            #expect(y.rows == 0 && y.columns == 3)
        }
    }
}

@Suite struct HalfLinearTests {
    @Test(arguments: HalfMatrix.Format.allCases, [1, 4, 11]) func isTheProductWithRoundedWeights(format: HalfMatrix.Format, m: Int) throws {
        var generator = SeededGenerator()
        let x = generator.matrix(m, 77), linear = try Linear(weight: generator.matrix(35, 77), bias: generator.numbers(35))
        let layer = try HalfLinear(linear, format: format)
        let rounded = layer.denseWeight()
        for (n, k) in [(0, 0), (34, 76), (17, 5)] {
            let weight = linear.weight[n, k]
            #expect(rounded[n, k] == (format == .fp16 ? FP16(weight).floatValue : BF16(weight).floatValue))
        }
        let y = layer(x)
        let multiplied = format == .bf16a16 ? Matrix(rows: m, columns: 77) { BF16(x[$0, $1]).floatValue } : x
        #expect(worstError(y, reference(multiplied, rounded, linear.bias), terms: 77) <= (format == .bf16a16 ? 2 : 1), "seed \(generator.seed)")
        for threads in [2, 5] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == y.bits) }
    }
}

extension HalfLinearTests {
    /// Rows that are no numbers stay so, the others are as they were; no rows and no inputs are legal.
    @Test(arguments: HalfMatrix.Format.allCases) func numbersAtTheEnds(format: HalfMatrix.Format) throws {
        let linear = try Linear(weight: Matrix(rows: 2, columns: 3) { Float($0 + $1) + 0.5 }, bias: [1, -1]),
            layer = try HalfLinear(linear, format: format)
        let x = try Matrix(
            rows: 6, columns: 3,
            elements: [
                .nan, 0, 0, .infinity, 1, 1, .infinity, -.infinity, 0, 1, 2, 3, 0x1p-140, 0x1p-130, -0x1p-149, .greatestFiniteMagnitude, 0, 0,
            ])
        let y = layer(x)
        for n in 0..<2 {
            #expect(y[0, n].isNaN && y[1, n] == .infinity && y[2, n].isNaN)
            #expect(y[3, n] == layer(try Matrix(rows: 1, columns: 3, elements: [1, 2, 3]))[0, n])
            #expect(y[4, n] == linear.bias![n])  // far below the bias; flushed where activations are BF16
            // Rounded to BF16 the largest float32 is infinite; times 0.5 it is not.
            #expect(y[5, n] == (format == .bf16a16 || n == 1 ? .infinity : 0.5 * Float.greatestFiniteMagnitude))
        }
        let empty = try HalfLinear(Linear(weight: Matrix(rows: 2, columns: 0), bias: [1, 2]), format: format)
        #expect(
            empty(Matrix(rows: 3, columns: 0)).bits == [1, 2, 1, 2, 1, 2].map { Float($0).bitPattern } && layer(Matrix(rows: 0, columns: 3)).rows == 0
        )
    }
}

/// Matrices large enough to be stored in parts, which threads share where rows are few.
@Suite struct SparsePartsTests {
    @Test(arguments: BlockShape.all.prefix(2), SparseValues.allCases)
    func threadsDoNotChangeBits(shape: BlockShape, values: SparseValues) throws {
        var generator = SeededGenerator()
        let linear = try Linear(weight: generator.matrix(515, 40), bias: generator.numbers(515), activation: .relu)
        for expectedRows in [1, 16, 256] {
            let layer = try SparseLinear(linear, sparsity: 0.8, shape: shape, values: values, expectedRows: expectedRows)
            #expect(layer.weight.parts.count == (expectedRows == 256 ? 2 : 4))
            #expect(layer.weight.parts.reduce(0) { $0 + $1.outputs } == 515)
            for m in [1, 7, 33] {
                let x = generator.matrix(m, 40), y = layer(x), dense = layer.denseWeight()
                // Activations −3…3 of int8 weights become codes: off by at most half of 6/255 each, and the zero point by as much.
                let expected = reference(x, dense, linear.bias), worst = values == .float32 ? 1e-6 : 6.0 / 255
                // An output of few weights still rounds when its bias is added.
                let bounds = (0..<515).map { n in
                    worst * (1e-3 + (0..<40).reduce(0) { $0 + Double(abs(dense[n, $1])) }) + 0x1p-23 * Double(abs(linear.bias![n]))
                }
                for index in 0..<y.count {
                    let (row, column) = (index / 515, index % 515)
                    #expect(abs(Double(y[row, column]) - max(0, expected.y[row][column])) <= bounds[column], "seed \(generator.seed)")
                }
                for threads in [2, 3, 9] { #expect(layer(x, parallelism: Parallelism(threads: threads, cutsSmallWork: true)).bits == y.bits) }
                let inFeatures = x.transposed()
                for threads in [1, 2, 9] {
                    var output = Matrix(rows: 515, columns: m), workspace = Workspace()
                    layer.applyFeatureMajor(
                        inFeatures, into: &output, workspace: &workspace, parallelism: Parallelism(threads: threads, cutsSmallWork: true))
                    #expect(output.transposed().bits == y.bits)
                }
            }
        }
    }
}

@Suite struct SequentialTests {
    @Test func isOneLayerAfterTheOther() throws {
        var generator = SeededGenerator()
        let first = try Linear(weight: generator.matrix(20, 12), bias: generator.numbers(20)), second = try Linear(weight: generator.matrix(4, 20))
        let x = generator.matrix(6, 12)
        let network = try Sequential([first, ReLU(), second])
        #expect(network.layers.count == 2)  // the ReLU became part of the first
        let expected = second(ReLU()(first(x)))
        #expect(network(x).bits == expected.bits)
        var workspace = Workspace()
        for rows in [6, 2, 6] {
            let part = Matrix(rows: rows, columns: 12) { x[$0, $1] }
            var y = Matrix(rows: rows, columns: 4)
            network.apply(part, into: &y, workspace: &workspace, parallelism: .serial)
            for row in 0..<rows { for column in 0..<4 { #expect(abs(y[row, column] - expected[row, column]) < 1e-4) } }
        }
        #expect(network.byteCount == (20 * 12 + 20 + 4 * 20) * 4)
        #expect(try Sequential([])(x) == x)
        #expect(try Sequential([ReLU(), ReLU()])(x).bits == ReLU()(x).bits)
    }

    @Test func layersThatDoNotFit() throws {
        let layers: [any Layer] = [try Linear(weight: Matrix(rows: 5, columns: 3)), ReLU(), try Linear(weight: Matrix(rows: 2, columns: 4))]
        #expect(throws: NumericsError.shapeMismatch(what: "inputs of layer 2", expected: "5, the outputs of the layer before", found: "4")) {
            try Sequential(layers)
        }
    }

    @Test func nansPassThroughReLU() throws {
        let y = ReLU()(try Matrix(rows: 1, columns: 4, elements: [.nan, -1, 2, -.infinity]))
        #expect(y[0, 0].isNaN && y[0, 1] == 0 && y[0, 2] == 2 && y[0, 3] == 0)
    }
}
