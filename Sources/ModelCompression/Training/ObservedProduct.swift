internal import CompactNumerics

extension TrainableNetwork {
    /// Calls `body` with the index of a layer in `layers` and a batch of the rows that its weights multiply, for the first `samples` samples, in
    /// passes without training: for a convolution the windows of the images.
    internal func forEachInput(
        of layers: [any WeightedLayer], data: LabelledData, samples: Int, batchSize: Int = 256, parallelism: Parallelism = .serial,
        _ body: (Int, Tensor) -> Void
    ) {
        withoutActuallyEscaping(body) { body in
            let products = layers.map(\.product)
            for (index, layer) in layers.enumerated() { layer.product = ObservedProduct(products[index]) { body(index, $0) } }
            let (context, input, count) = (TrainingContext(parallelism: parallelism), Tensor(), min(samples, data.count))
            for start in stride(from: 0, to: count, by: batchSize) {
                input.reshape(rows: min(batchSize, count - start), columns: data.inputs.columns)
                data.inputs.withUnsafeBufferPointer { input.pointer.update(from: $0.baseAddress! + start * input.columns, count: input.count) }
                _ = forward(input, context: context)
            }
            for (layer, product) in zip(layers, products) { layer.product = product }
        }
    }
}

/// Another product that shows its inputs.
internal final class ObservedProduct: LinearProduct {
    private let product: any LinearProduct
    private let observe: (Tensor) -> Void

    init(_ product: any LinearProduct, observe: @escaping (Tensor) -> Void) {
        (self.product, self.observe) = (product, observe)
    }

    var parameters: [Parameter] { product.parameters }
    func copy() -> any LinearProduct { product.copy() }

    func forward(_ input: Tensor, weight: Parameter, bias: Parameter?, output: Tensor, context: TrainingContext) {
        observe(input)
        product.forward(input, weight: weight, bias: bias, output: output, context: context)
    }

    func backward(
        _ outputGradient: Tensor, input: Tensor, weight: Parameter, bias: Parameter?, inputGradient: Tensor?, context: TrainingContext
    ) {
        product.backward(outputGradient, input: input, weight: weight, bias: bias, inputGradient: inputGradient, context: context)
    }
}
