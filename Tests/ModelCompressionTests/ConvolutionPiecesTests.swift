import CompactNumerics
@testable import ModelCompression
import Testing

/// The plain product gathers a few images at a time, others get all windows at once: two ways to the same numbers.
@Suite struct ConvolutionPiecesTests {
    /// The plain product under another type.
    private final class WholeProduct: LinearProduct {
        let plain = FloatProduct()
        var parameters: [Parameter] { [] }
        func forward(_ input: Tensor, weight: Parameter, bias: Parameter?, output: Tensor, context: TrainingContext) {
            plain.forward(input, weight: weight, bias: bias, output: output, context: context)
        }
        func backward(
            _ outputGradient: Tensor, input: Tensor, weight: Parameter, bias: Parameter?, inputGradient: Tensor?, context: TrainingContext
        ) {
            plain.backward(outputGradient, input: input, weight: weight, bias: bias, inputGradient: inputGradient, context: context)
        }
        func copy() -> any LinearProduct { WholeProduct() }
    }

    // 3 images a piece and a rest of 2; 1 image, which alone is more than a piece holds; the whole batch in one.
    @Test(arguments: [(28, 1, 2, 1, 11), (34, 8, 1, 1, 3), (9, 3, 0, 2, 7)])
    func piecesEqualTheWhole(side: Int, channels: Int, padding: Int, stride: Int, batch: Int) throws {
        var generator = SeededGenerator(seed: 12)
        let w = try windows(side, side, channels, window: (5, 5), stride: stride, padding: padding)
        let pieces = Conv2DLayer("conv", windows: w, outputChannels: 6, generator: &generator)
        let whole = Conv2DLayer("conv", windows: w, weight: pieces.weight.copy(), bias: pieces.bias?.copy(), product: WholeProduct())
        let x = generator.tensor(batch, w.imageCount), dy = generator.tensor(batch, 6 * w.count)
        let context = TrainingContext(isTraining: true)
        expectEqual(pieces.forward(x, context: context), whole.forward(x, context: context), "outputs")
        for _ in 0..<2 {
            let dx = pieces.backward(dy, needsInputGradient: true, context: context)!
            expectEqual(dx, whole.backward(dy, needsInputGradient: true, context: context)!, "input gradient")
        }
        expectEqual(pieces.weight.gradient, whole.weight.gradient, "weight gradient")
        expectEqual(pieces.bias!.gradient, whole.bias!.gradient, "bias gradient")
    }

    private func expectEqual(_ found: Tensor, _ expected: Tensor, _ what: String) {
        #expect((found.rows, found.columns) == (expected.rows, expected.columns))
        // Sums of up to 12,000 numbers of size 1, in another order.
        let wrong = zip(found.elements, expected.elements).first { abs($0 - $1) > 1e-3 }
        #expect(wrong == nil, "\(what)")
    }
}
