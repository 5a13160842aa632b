internal import CBLAS
internal import CTraining

/// Another product that adds up the squares of each sample's gradient of the weights: the diagonal of the empirical Fisher information.
internal final class FisherProduct: LinearProduct {
    /// Σ over samples of (∂L/∂w)², L the loss of the sample alone, [outputs · inputs].
    private(set) var sums: [Double]
    private let product: any LinearProduct
    // Rows of the product for one sample: 1, of a convolution its windows.
    private let positions: Int
    private let single: Parameter

    init(_ layer: any WeightedLayer) {
        let weight = layer.weight.value
        product = layer.product
        positions = layer.multiplicationsPerSample / max(1, weight.count)
        sums = [Double](repeating: 0, count: weight.count)
        single = Parameter(name: "gradient of a sample", value: Tensor(rows: weight.rows, columns: weight.columns), decays: false)
    }

    var parameters: [Parameter] { product.parameters }
    func copy() -> any LinearProduct { product.copy() }

    func forward(_ input: Tensor, weight: Parameter, bias: Parameter?, output: Tensor, context: TrainingContext) {
        product.forward(input, weight: weight, bias: bias, output: output, context: context)
    }

    func backward(
        _ outputGradient: Tensor, input: Tensor, weight: Parameter, bias: Parameter?, inputGradient: Tensor?, context: TrainingContext
    ) {
        // Of the mean over the batch: a sample's own gradient is `samples` times as large.
        let samples = outputGradient.rows / positions, factor = Double(samples * samples)
        if positions == 1 {
            addDense(outputGradient, input, factor)
        } else {
            for sample in 0..<samples {
                let row = sample * positions
                FloatProduct.weightGradients(
                    outputGradient.pointer + row * outputGradient.columns, input: input.pointer + row * input.columns, rows: positions,
                    weight: single, bias: nil, adding: false, context.parallelism)
                ck_add_squares_f64(single.gradient.pointer, sums.count, factor, &sums)
            }
        }
        product.backward(outputGradient, input: input, weight: weight, bias: bias, inputGradient: inputGradient, context: context)
    }

    // A sample's gradient is δ · xᵀ, so the sum of the squares is (δ²)ᵀ · x², over the batch. In float64, since squares have twice the exponents.
    private func addDense(_ gradient: Tensor, _ input: Tensor, _ factor: Double) {
        let (m, n, k) = (Int32(gradient.rows), Int32(gradient.columns), Int32(input.columns))
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, k, m, factor, Self.squares(gradient), n, Self.squares(input), k, 1, &sums, k)
    }

    private static func squares(_ tensor: Tensor) -> [Double] {
        [Double](unsafeUninitializedCapacity: tensor.count) { values, count in
            ck_squares_f64(tensor.pointer, tensor.count, values.baseAddress!)
            count = tensor.count
        }
    }
}
