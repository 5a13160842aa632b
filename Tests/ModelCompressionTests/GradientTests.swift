import CompactNumerics
@testable import ModelCompression
import Testing

/// Each layer's gradients against central differences of its forward pass written again in float64.
@Suite struct GradientTests {
    /// A function of input and parameters, in float64, row after row.
    typealias Reference = (_ x: [Double], _ parameters: [[Double]]) -> [Double]

    private func check(_ layer: any TrainableLayer, input x: Tensor, isTraining: Bool = true, reference: Reference) {
        var generator = SeededGenerator(seed: 7)
        let context = TrainingContext(isTraining: isTraining, stepSeed: 11)
        let y = layer.forward(x, context: context)
        let direction = generator.tensor(y.rows, y.columns)
        let values = layer.parameters.map { $0.value.elements.map(Double.init) }, inputs = x.elements.map(Double.init)
        let expected = reference(inputs, values)
        for index in 0..<y.count { #expect(abs(Double(y.pointer[index]) - expected[index]) <= 1e-5 * (1 + abs(expected[index]))) }

        let dx = layer.backward(direction, needsInputGradient: true, context: context)!
        let weights = direction.elements.map(Double.init)
        func objective(_ x: [Double], _ p: [[Double]]) -> Double { zip(reference(x, p), weights).reduce(0) { $0 + $1.0 * $1.1 } }
        // Small enough to cross no kink of ReLU or max with these inputs; float64 leaves 1e-10 / 1e-5 of accuracy.
        let step = 1e-5
        func compare(_ what: String, _ gradient: Tensor, _ at: (Int, Double) -> Double) {
            for index in 0..<gradient.count {
                let expected = (at(index, step) - at(index, -step)) / (2 * step)
                let error = abs(Double(gradient.pointer[index]) - expected)
                #expect(error <= 2e-4 * (1 + abs(expected)), "\(what)[\(index)]: \(gradient.pointer[index]), expected \(expected)")
            }
        }
        compare("input of \(layer.name)", dx) { index, step in
            var moved = inputs
            moved[index] += step
            return objective(moved, values)
        }
        for (number, parameter) in layer.parameters.enumerated() {
            compare(parameter.name, parameter.gradient) { index, step in
                var moved = values
                moved[number][index] += step
                return objective(inputs, moved)
            }
        }
    }

    @Test func dense() {
        var generator = SeededGenerator(seed: 1)
        let layer = DenseLayer("fc", inputs: 7, outputs: 5, generator: &generator)
        check(layer, input: generator.tensor(4, 7)) { (x: [Double], p: [[Double]]) -> [Double] in
            (0..<4 * 5).map { i in
                let (row, output) = (i / 5, i % 5)
                var sum = p[1][output]
                for k in 0..<7 { sum += x[row * 7 + k] * p[0][output * 7 + k] }
                return sum
            }
        }
    }

    @Test(arguments: [(1, 0, 1), (1, 1, 2), (2, 1, 3), (2, 2, 5)]) func convolution(stride: Int, padding: Int, channels: Int) throws {
        var generator = SeededGenerator(seed: 2)
        let w = try windows(6, 5, channels, window: (3, 4), stride: stride, padding: padding)
        let layer = Conv2DLayer("conv", windows: w, outputChannels: 3, generator: &generator)
        check(layer, input: generator.tensor(2, w.imageCount)) { x, p in
            forEachWindow(w, batch: 2, channels: 3) { b, oy, ox, o in
                var sum = p[1][o]
                for (ky, kx, y, x_) in inside(w, oy, ox) {
                    for c in 0..<channels {
                        sum += x[((b * 6 + y) * 5 + x_) * channels + c] * p[0][o * w.patchCount + (ky * 4 + kx) * channels + c]
                    }
                }
                return sum
            }
        }
    }

    @Test(arguments: [(2, 0, 1), (2, 1, 6), (1, 0, 5), (3, 1, 9)]) func pooling(stride: Int, padding: Int, channels: Int) throws {
        var generator = SeededGenerator(seed: 3)
        let w = try windows(7, 6, channels, window: (2, 3), stride: stride, padding: padding)
        let x = generator.tensor(2, w.imageCount)
        func pool(_ combine: @escaping ([Double]) -> Double) -> Reference {
            { x, _ in
                forEachWindow(w, batch: 2, channels: channels) { b, oy, ox, c in
                    combine(inside(w, oy, ox).map { x[((b * 7 + $0.2) * 6 + $0.3) * channels + c] })
                }
            }
        }
        check(MaxPoolLayer("max", windows: w), input: x, reference: pool { $0.max()! })
        check(AveragePoolLayer("average", windows: w), input: x, reference: pool { $0.reduce(0, +) / 6 })
    }

    @Test func reluAndFlatten() {
        var generator = SeededGenerator(seed: 4)
        let x = generator.tensor(3, 10)
        check(ReLULayer("relu"), input: x) { x, _ in x.map { max($0, 0) } }
        check(FlattenLayer("flatten"), input: x) { x, _ in x }
    }

    /// Of images (2×2 positions) and of vectors.
    @Test(arguments: [true, false], [2, 1]) func batchNorm(isTraining: Bool, side: Int) throws {
        var generator = SeededGenerator(seed: 5)
        let layer = BatchNormLayer("bn", channels: 3)
        #expect(try layer.outputShape(for: SampleShape(height: side, width: side, channels: 3)).count == side * side * 3)
        for channel in 0..<3 {
            layer.gamma.value.pointer[channel] = Float(1 + 0.2 * generator.gaussian())
            layer.beta.value.pointer[channel] = Float(generator.gaussian())
            layer.runningMean.pointer[channel] = Float(generator.gaussian())
            layer.runningVariance.pointer[channel] = Float(0.5 + generator.uniform())
        }
        let fixed = zip(layer.runningMean.elements, layer.runningVariance.elements).map { (Double($0), Double($1)) }
        check(layer, input: generator.tensor(16 / (side * side), side * side * 3), isTraining: isTraining) { x, p in
            let moments = (0..<3).map { c in
                let values = stride(from: c, to: x.count, by: 3).map { x[$0] }, mean = values.reduce(0, +) / 16
                return (mean, values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 16)
            }
            return x.indices.map { i in
                let (mean, variance) = isTraining ? moments[i % 3] : fixed[i % 3]
                return (x[i] - mean) / (variance + Double(Float(1e-5))).squareRoot() * p[0][i % 3] + p[1][i % 3]
            }
        }
    }

    @Test func runningStatisticsFollowTheBatch() {
        let layer = BatchNormLayer("bn", channels: 1, momentum: 0.5)
        let x = Tensor(rows: 4, columns: 1)
        for (row, value) in [1, 2, 3, 6].enumerated() { x[row, 0] = Float(value) }
        _ = layer.forward(x, context: TrainingContext(isTraining: true))
        #expect(layer.runningMean[0, 0] == 1.5)
        // Variance 14 / 3 with Bessel's correction, half of it plus half of 1.
        #expect(abs(layer.runningVariance[0, 0] - (14.0 / 3 + 1) / 2) < 1e-6)
    }

    @Test func dropoutDropsItsShareAndScalesTheRest() throws {
        var generator = SeededGenerator(seed: 6)
        let layer = try DropoutLayer("drop", rate: 0.25)
        let x = Tensor(rows: 100, columns: 100)
        x.fill(1)
        let y = layer.forward(x, context: TrainingContext(isTraining: true, stepSeed: 5)).elements
        #expect(Set(y) == [0, Float(1) / 0.75])
        #expect(abs(Double(y.count { $0 == 0 }) / 10_000 - 0.25) < 0.02)
        #expect(layer.forward(x, context: TrainingContext(isTraining: true, stepSeed: 5)).elements == y)
        #expect(layer.forward(x, context: TrainingContext(isTraining: true, stepSeed: 6)).elements != y)
        #expect(layer.forward(x, context: TrainingContext(isTraining: false)) === x)
        let small = generator.tensor(3, 8)
        let factors = layer.forward(small, context: TrainingContext(isTraining: true, stepSeed: 11)).elements.map { $0 == 0 ? 0 : 1 / 0.75 }
        check(layer, input: small) { x, _ in zip(x, factors).map { $0 * Double($1) } }
        #expect(throws: CompressionError.self) { try DropoutLayer("drop", rate: 1) }
    }

    @Test func crossEntropy() {
        var generator = SeededGenerator(seed: 8)
        let logits = generator.tensor(5, 4), gradient = Tensor(rows: 5, columns: 4)
        let batch = Batch(indices: Array(0..<5), labels: [0, 3, 2, 1, 3])
        func loss(_ x: [Double]) -> Double {
            (0..<5).reduce(0) { sum, row in
                let row_ = x[row * 4..<row * 4 + 4], top = row_.max()!
                return sum + top + LogSum.of(row_.map { $0 - top }) - x[row * 4 + batch.labels[row]]
            } / 5
        }
        let values = logits.elements.map(Double.init)
        #expect(abs(CrossEntropy().evaluate(logits, batch: batch, gradient: gradient) - loss(values)) < 1e-12)
        for index in values.indices {
            var (up, down) = (values, values)
            up[index] += 1e-5
            down[index] -= 1e-5
            #expect(abs(Double(gradient.pointer[index]) - (loss(up) - loss(down)) / 2e-5) < 1e-7)
        }
    }
}

/// Window elements inside the image: place in the window, place in the image.
private func inside(_ w: ImageWindows, _ oy: Int, _ ox: Int) -> [(Int, Int, Int, Int)] {
    var places: [(Int, Int, Int, Int)] = []
    for ky in 0..<w.windowHeight {
        for kx in 0..<w.windowWidth {
            let (y, x) = (oy * w.stride + ky - w.padding, ox * w.stride + kx - w.padding)
            if (0..<w.height).contains(y), (0..<w.width).contains(x) { places.append((ky, kx, y, x)) }
        }
    }
    return places
}

private func forEachWindow(_ w: ImageWindows, batch: Int, channels: Int, _ value: (Int, Int, Int, Int) -> Double) -> [Double] {
    var values: [Double] = []
    for b in 0..<batch {
        for oy in 0..<w.outputHeight {
            for ox in 0..<w.outputWidth { for c in 0..<channels { values.append(value(b, oy, ox, c)) } }
        }
    }
    return values
}
