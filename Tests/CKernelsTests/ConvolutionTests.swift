import CKernels
import Foundation
import Testing

@Suite struct ConvolutionKernelTests {
    /// (height, width, channels, window height, window width, padding, outputs)
    static let shapes = [
        (1, 1, 1, 1, 1, 0, 1), (3, 3, 2, 3, 3, 1, 5), (5, 7, 1, 3, 2, 1, 6), (28, 28, 1, 5, 5, 2, 3), (14, 14, 3, 5, 5, 0, 8),
        (9, 33, 4, 2, 5, 1, 13),
        (6, 16, 2, 3, 1, 0, 16), (4, 17, 5, 4, 4, 3, 7),
    ]

    /// Zeros of the padding are numbers: an infinite weight makes NaN of them, on every instruction set, as it does in a product of windows.
    @Test func paddingMeetsInfiniteWeights() {
        var w = ck_windows()
        (w.height, w.width, w.channels, w.window_height, w.window_width, w.stride, w.padding) = (3, 3, 1, 3, 3, 1, 1)
        (w.output_height, w.output_width) = (3, 3)
        var weights = [Float](repeating: 1, count: 9)
        weights[0] = .infinity
        for set in InstructionSet.available {
            let images = GuardedBuffer([Float](repeating: 2, count: 9)), y = GuardedBuffer<Float>(count: 9)
            let workspace = GuardedBuffer<Float>(count: ck_conv2d_workspace_count(&w)), stored = GuardedBuffer(weights)
            set.kernels.conv2d_f32(images.base, 1, &w, stored.base, 1, nil, 0, y.base, workspace.base)
            // The first tap lies in the padding for the first row and column of positions.
            #expect(y.values.enumerated().allSatisfy { $0 < 3 || $0 % 3 == 0 ? $1.isNaN : $1 == .infinity }, "\(set.testDescription)")
        }
    }

    @Test func outputsAreThoseOfTheFormula() {
        var generator = SplitMix64(stream: 2800)
        for (i, (height, width, channels, kh, kw, padding, outputs)) in Self.shapes.enumerated() {
            var w = ck_windows()
            (w.height, w.width, w.channels, w.window_height, w.window_width, w.stride, w.padding) = (height, width, channels, kh, kw, 1, padding)
            (w.output_height, w.output_width) = (height + 2 * padding - kh + 1, width + 2 * padding - kw + 1)
            let batch = 1 + i % 3, patch = kh * kw * channels, positions = w.output_height * w.output_width
            func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &generator) } }
            let x = numbers(batch * height * width * channels), weights = numbers(outputs * patch), bias = i % 2 == 0 ? numbers(outputs) : nil
            for set in InstructionSet.available {
                let images = GuardedBuffer(x), y = GuardedBuffer<Float>(count: batch * positions * outputs)
                let workspace = GuardedBuffer<Float>(count: ck_conv2d_workspace_count(&w)), stored = GuardedBuffer(weights)
                set.kernels.conv2d_f32(images.base, batch, &w, stored.base, outputs, bias, i % 3 == 0 ? 1 : 0, y.base, workspace.base)
                #expect(y.guardsAreIntact && workspace.guardsAreIntact)
                let found = y.values
                for place in found.indices {
                    let (n, position, b) = (place % outputs, place / outputs % positions, place / outputs / positions)
                    let (oy, ox) = (position / w.output_width, position % w.output_width)
                    var sum = Double(bias?[n] ?? 0), magnitude = abs(sum)
                    for tap in 0..<patch {
                        let (c, column, row) = (tap % channels, ox + tap / channels % kw - padding, oy + tap / channels / kw - padding)
                        guard (0..<height).contains(row), (0..<width).contains(column) else { continue }
                        let product = Double(x[((b * height + row) * width + column) * channels + c]) * Double(weights[n * patch + tap])
                        sum += product
                        magnitude += abs(product)
                    }
                    let expected = i % 3 == 0 ? max(sum, 0) : sum
                    #expect(abs(Double(found[place]) - expected) <= Double(patch + 1) * 0x1p-24 * magnitude, "\(set.testDescription) \(i) [\(place)]")
                }
            }
        }
    }
}
