import CKernels
import Testing

/// Pooling against its definition, NaN and infinities included.
@Suite struct PoolingTests {
    private struct Windows: CustomStringConvertible {
        var c = ck_windows()
        let batch: Int

        init(height: Int, width: Int, channels: Int, window: (Int, Int), stride: Int, padding: Int, batch: Int) {
            self.batch = batch
            (c.height, c.width, c.channels, c.window_height, c.window_width) = (height, width, channels, window.0, window.1)
            (c.stride, c.padding) = (stride, padding)
            c.output_height = (height + 2 * padding - window.0) / stride + 1
            c.output_width = (width + 2 * padding - window.1) / stride + 1
        }

        var imageCount: Int { c.height * c.width * c.channels }
        var outputCount: Int { c.output_height * c.output_width * c.channels }
        var description: String {
            "\(c.height)x\(c.width)x\(c.channels), windows \(c.window_height)x\(c.window_width), stride \(c.stride), padding \(c.padding)"
        }

        /// Places, within its image, of the elements of the window of output `at`, in the order of rows.
        func places(_ at: Int) -> [Int] {
            let channel = at % c.channels, x = at / c.channels % c.output_width, y = at / c.channels / c.output_width
            var places: [Int] = []
            for row in y * c.stride - c.padding..<y * c.stride - c.padding + c.window_height where (0..<c.height).contains(row) {
                for column in x * c.stride - c.padding..<x * c.stride - c.padding + c.window_width where (0..<c.width).contains(column) {
                    places.append((row * c.width + column) * c.channels + channel)
                }
            }
            return places
        }
    }

    /// Each way through the loops: with winners or without, with padding or without, fours of channels with and without a rest, and rows of more
    /// numbers than fit on the stack.
    private static let shapes: [Windows] =
        [1, 3, 4, 5, 8, 11].flatMap { channels in
            [
                Windows(height: 6, width: 7, channels: channels, window: (2, 2), stride: 2, padding: 0, batch: 2),
                Windows(height: 5, width: 6, channels: channels, window: (3, 2), stride: 1, padding: 1, batch: 2),
                Windows(height: 4, width: 4, channels: channels, window: (1, 3), stride: 1, padding: 0, batch: 1),
            ]
        } + [Windows(height: 2, width: 1025, channels: 4, window: (2, 2), stride: 1, padding: 0, batch: 1)]

    private func check(_ shape: Windows, _ x: [Float], _ place: Comment) {
        var windows = shape.c
        let images = GuardedBuffer(x, guardPage: .behind), winners = GuardedBuffer<Int32>(count: shape.batch * shape.outputCount)
        let alone = GuardedBuffer<Float>(count: shape.batch * shape.outputCount), y = GuardedBuffer<Float>(count: alone.elements.count)
        ck_max_pool_f32(images.base, shape.batch, &windows, alone.base, nil)
        ck_max_pool_f32(images.base, shape.batch, &windows, y.base, winners.base)
        #expect(alone.guardsAreIntact && y.guardsAreIntact && winners.guardsAreIntact)
        var isRight = true
        for at in y.elements.indices {
            let image = at / shape.outputCount * shape.imageCount, places = shape.places(at % shape.outputCount)
            // The first NaN, else the first of the largest.
            let best = places.first { x[image + $0].isNaN } ?? places.max { (x[image + $0], -$0) < (x[image + $1], -$1) }!
            let expected = x[image + best]
            isRight = isRight && Int(winners.elements[at]) == best
            for found in [y.elements[at], alone.elements[at]] { isRight = isRight && (found == expected || found.isNaN && expected.isNaN) }
        }
        #expect(isRight, "\(shape), \(place)")
    }

    @Test func maximaAreThoseOfTheDefinition() {
        var generator = SplitMix64(stream: 4100)
        for shape in Self.shapes {
            let count = shape.batch * shape.imageCount
            check(shape, (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }, "random, seed \(testSeed)")
            check(shape, (0..<count).map { _ in Float(Int.random(in: -1...1, using: &generator)) }, "equal ones, seed \(testSeed)")
            let hard: [Float] = [.infinity, -.infinity, .greatestFiniteMagnitude, 0x1p-149, 1]
            check(shape, (0..<count).map { _ in hard.randomElement(using: &generator)! }, "infinities, seed \(testSeed)")
        }
    }

    /// A NaN at any place of a window, before or behind larger numbers and infinities, is its largest; other windows do not see it.
    @Test func aNaNWins() {
        var generator = SplitMix64(stream: 4200)
        for shape in Self.shapes {
            let count = shape.batch * shape.imageCount
            let base = (0..<count).map { _ in Bool.random(using: &generator) ? Float.infinity : Float.random(in: -9...9, using: &generator) }
            for _ in 0..<40 {
                var x = base
                for _ in 0..<Int.random(in: 1...3, using: &generator) { x[Int.random(in: 0..<count, using: &generator)] = .nan }
                check(shape, x, "NaN, seed \(testSeed)")
            }
            check(shape, [Float](repeating: .nan, count: count), "all NaN")
        }
    }

    @Test func meansCountPaddingAsZeros() {
        var generator = SplitMix64(stream: 4300)
        for shape in Self.shapes {
            var windows = shape.c
            let x = (0..<shape.batch * shape.imageCount).map { _ in Float.random(in: -1...1, using: &generator) }
            let images = GuardedBuffer(x, guardPage: .behind), y = GuardedBuffer<Float>(count: shape.batch * shape.outputCount)
            ck_average_pool_f32(images.base, shape.batch, &windows, y.base)
            #expect(y.guardsAreIntact)
            for at in y.elements.indices {
                let image = at / shape.outputCount * shape.imageCount
                let sum = shape.places(at % shape.outputCount).reduce(0.0) { $0 + Double(x[image + $1]) }
                #expect(abs(Double(y.elements[at]) - sum / Double(shape.c.window_height * shape.c.window_width)) < 1e-6, "\(shape), seed \(testSeed)")
            }
        }
    }
}
