import CKernels
import CKernelsTestSupport
import Foundation
import Testing

@Suite struct ConvolutionKernelTests {
    /// (height, width, channels, window height, window width, padding, outputs)
    static let shapes = [
        (1, 1, 1, 1, 1, 0, 1), (3, 3, 2, 3, 3, 1, 5), (5, 7, 1, 3, 2, 1, 6), (28, 28, 1, 5, 5, 2, 3), (14, 14, 6, 5, 5, 0, 16),
        (9, 33, 4, 2, 5, 1, 13),
        (6, 16, 2, 3, 1, 0, 16), (4, 17, 5, 4, 4, 3, 7), (32, 32, 3, 3, 3, 1, 16),
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
            let config = set.kernels.conv2d_f32.pointee, stored = GuardedBuffer(weights)
            let workspace = GuardedBuffer<UInt8>(count: config.workspace_bytes(&w, 1))
            config.kernel(images.base, 1, &w, stored.base, 1, nil, 0, y.base, workspace.base)
            // The first tap lies in the padding for the first row and column of positions.
            #expect(y.values.enumerated().allSatisfy { $0 < 3 || $0 % 3 == 0 ? $1.isNaN : $1 == .infinity }, "\(set.testDescription)")
        }
    }

    @Test func outputsAreThoseOfTheFormula() {
        for (i, (height, width, channels, windowHeight, windowWidth, padding, outputs)) in Self.shapes.enumerated() {
            for set in InstructionSet.available {
                for seed in 1...3 {
                    var c = ck_test_conv2d_case(
                        batch: 1 + i % 3, height: height, width: width, channels: channels, window_height: windowHeight,
                        window_width: windowWidth, padding: padding, outputs: outputs, has_bias: i % 2 == 0 ? 1 : 0,
                        relu: i % 3 == 0 ? 1 : 0, is_infinite: seed == 3 ? 1 : 0, seed: UInt64(seed))
                    #expect(ck_test_conv2d(set.isa, &c) == 1, "\(set.testDescription) \(i) \(seed)")
                }
            }
        }
    }
}
