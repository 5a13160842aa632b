internal import CompactNumerics
internal import CBLAS
internal import CTraining

/// Scores of all weights of some layers, larger for what matters more, by layer name: [outputs · inputs], row after row.
internal struct PruningScores {
    var scores: [String: [Double]] = [:]
    /// For `secondOrderCorrected`: H⁻¹ of each layer, of which the upper triangle counts, [inputs · inputs].
    var inverseHessians: [String: [Double]] = [:]

    /// - Throws: `CompressionError.outOfRange` where data is needed and absent, `.shapeMismatch` where it does not fit, `.notFinite` for
    ///   scores that are no numbers.
    init(
        _ network: TrainableNetwork, layers: [any WeightedLayer], configuration: PruningConfiguration, data: LabelledData?,
        loss: any TrainingLoss, parallelism: Parallelism
    ) throws(CompressionError) {
        let pass = ScorePass(network, data, configuration, loss, parallelism)
        switch configuration.score {
        case .magnitudeL1, .magnitudeL2, .random: for layer in layers { scores[layer.name] = Self.dataFree(layer, configuration.score) }
        case .gradientTimesWeight, .taylor: scores = try Self.gradients(layers, configuration.score, try pass.batches())
        case .secondOrderDiagonal: scores = Self.fisher(layers, try pass.batches())
        case .activationTimesWeight: scores = try Self.activations(layers, try pass.batches())
        case .secondOrderCorrected: (scores, inverseHessians) = try Self.hessians(layers, try pass.batches())
        }
        for layer in layers {
            let values = scores[layer.name]!
            let wrong = ck_first_not_finite_f64(values, values.count)
            if wrong < values.count {
                let columns = layer.weight.value.columns
                throw .notFinite(what: "pruning scores of layer \(layer.name)", row: wrong / columns, column: wrong % columns)
            }
        }
    }

    private static func dataFree(_ layer: any WeightedLayer, _ score: PruningScore) -> [Double] {
        let weight = layer.weight.value
        return [Double](unsafeUninitializedCapacity: weight.count) { values, count in
            if case .random(let seed) = score {
                var name = layer.name
                let salt = name.withUTF8 { ck_fnv1a_64($0.baseAddress!, $0.count, 0xCBF2_9CE4_8422_2325) }
                ck_random_scores_f64(SplitMix64.mix(seed ^ salt), weight.count, values.baseAddress!)
            } else {
                ck_magnitude_scores_f64(weight.pointer, weight.count, score == .magnitudeL2 ? 1 : 0, values.baseAddress!)
            }
            count = weight.count
        }
    }

    // One pass over the data, forward and backward.
    private static func gradients(
        _ layers: [any WeightedLayer], _ score: PruningScore, _ batches: ScorePass.Batches
    ) throws(CompressionError) -> [String: [Double]] {
        var sums = layers.map { [Double](repeating: 0, count: $0.weight.value.count) }
        batches.forEachBatch(backward: true) { share in
            for (index, layer) in layers.enumerated() {
                let (w, g, count) = (layer.weight.value.pointer, layer.weight.gradient.pointer, layer.weight.value.count)
                if score == .taylor {
                    ck_add_squared_products_f64(g, w, count, share, &sums[index])
                } else {
                    ck_add_gradient_f64(g, count, share, &sums[index])
                }
            }
        }
        for (index, layer) in layers.enumerated() {
            let weight = layer.weight.value
            if score == .gradientTimesWeight { ck_times_weight_f64(weight.pointer, weight.count, &sums[index]) }
        }
        return Dictionary(uniqueKeysWithValues: zip(layers.map(\.name), sums))
    }

    private static func fisher(_ layers: [any WeightedLayer], _ batches: ScorePass.Batches) -> [String: [Double]] {
        let (products, observers) = (layers.map(\.product), layers.map(FisherProduct.init))
        for (layer, observer) in zip(layers, observers) { layer.product = observer }
        batches.forEachBatch(backward: true) { _ in }
        for (layer, product) in zip(layers, products) { layer.product = product }
        var scores: [String: [Double]] = [:]
        for (layer, observer) in zip(layers, observers) {
            var sums = observer.sums
            ck_times_square_f64(layer.weight.value.pointer, sums.count, 0.5 / Double(batches.samples), &sums)
            scores[layer.name] = sums
        }
        return scores
    }

    private static func activations(_ layers: [any WeightedLayer], _ batches: ScorePass.Batches) throws(CompressionError) -> [String: [Double]] {
        var norms = layers.map { [Double](repeating: 0, count: $0.weight.value.columns) }
        batches.forEachInput(of: layers) { index, x in ck_add_column_squares_f64(x.pointer, x.rows, x.columns, &norms[index]) }
        var scores: [String: [Double]] = [:]
        for (index, layer) in layers.enumerated() {
            let weight = layer.weight.value
            let factors = norms[index].map { $0.squareRoot() }
            scores[layer.name] = [Double](unsafeUninitializedCapacity: weight.count) { values, count in
                ck_magnitude_times_column_f64(weight.pointer, weight.rows, weight.columns, factors, values.baseAddress!)
                count = weight.count
            }
        }
        return scores
    }

    private static func hessians(
        _ layers: [any WeightedLayer], _ batches: ScorePass.Batches
    ) throws(CompressionError) -> (scores: [String: [Double]], inverses: [String: [Double]]) {
        var sums = layers.map { [Double](repeating: 0, count: $0.weight.value.columns * $0.weight.value.columns) }
        let product = Tensor()
        batches.forEachInput(of: layers) { index, x in
            let k = Int32(x.columns)
            product.reshape(rows: x.columns, columns: x.columns)
            product.fill(0)
            cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, k, Int32(x.rows), 1, x.pointer, k, 0, product.pointer, k)
            ck_add_f64(product.pointer, product.count, &sums[index])
        }
        var result: (scores: [String: [Double]], inverses: [String: [Double]]) = ([:], [:])
        for (index, layer) in layers.enumerated() {
            let weight = layer.weight.value
            let columns = weight.columns
            dampen(&sums[index], columns: columns, factor: 2 / Double(batches.samples))
            try InverseHessian.invert(&sums[index], columns: columns, layer: layer.name)
            let factors = (0..<columns).map { 0.5 / sums[index][$0 * columns + $0] }
            result.scores[layer.name] = [Double](unsafeUninitializedCapacity: weight.count) { values, count in
                ck_square_times_column_f64(weight.pointer, weight.rows, columns, factors, values.baseAddress!)
                count = weight.count
            }
            result.inverses[layer.name] = sums[index]
        }
        return result
    }

    // Inputs that are always 0 have no curvature: the damping alone makes them invertible, and their weights score lowest.
    private static func dampen(_ hessian: inout [Double], columns: Int, factor: Double) {
        cblas_dscal(Int32(hessian.count), factor, &hessian, 1)
        let mean = (0..<columns).reduce(0) { $0 + hessian[$1 * columns + $1] } / Double(columns)
        let damping = mean > 0 ? 0.01 * mean : 1
        for index in 0..<columns { hessian[index * columns + index] += damping }
    }
}

/// Passes of samples through a network in batches, without training.
internal struct ScorePass {
    private let network: TrainableNetwork
    private let data: LabelledData?
    private let configuration: PruningConfiguration
    private let loss: any TrainingLoss
    private let parallelism: Parallelism

    init(
        _ network: TrainableNetwork, _ data: LabelledData?, _ configuration: PruningConfiguration, _ loss: any TrainingLoss,
        _ parallelism: Parallelism
    ) {
        (self.network, self.data, self.configuration, self.loss, self.parallelism) = (network, data, configuration, loss, parallelism)
    }

    /// - Throws: `CompressionError.outOfRange` without samples, `.shapeMismatch` where they do not fit.
    func batches() throws(CompressionError) -> Batches {
        guard let data, data.count > 0 else {
            throw .outOfRange(what: "samples for pruning scores", allowed: "at least 1 for \(configuration.score)", found: "none")
        }
        try requireMatch(network, data)
        return Batches(
            network: network, data: data, samples: min(data.count, configuration.scoreSamples), size: configuration.scoreBatchSize, loss: loss,
            parallelism: parallelism)
    }

    struct Batches {
        let network: TrainableNetwork
        let data: LabelledData
        let samples: Int
        let size: Int
        let loss: any TrainingLoss
        let parallelism: Parallelism

        /// Calls `body` after each batch with its share of the samples.
        func forEachBatch(backward: Bool, _ body: (Double) -> Void) {
            let context = TrainingContext(parallelism: parallelism)
            let (input, gradient) = (Tensor(), Tensor())
            for start in stride(from: 0, to: samples, by: size) {
                let range = start..<min(start + size, samples)
                input.reshape(rows: range.count, columns: data.inputs.columns)
                data.inputs.withUnsafeBufferPointer { input.pointer.update(from: $0.baseAddress! + start * input.columns, count: input.count) }
                let logits = network.forward(input, context: context)
                if backward {
                    gradient.reshape(rows: logits.rows, columns: logits.columns)
                    _ = loss.evaluate(logits, batch: Batch(indices: Array(range), labels: Array(data.labels[range])), gradient: gradient)
                    network.backward(gradient, context: context)
                }
                body(Double(range.count) / Double(samples))
            }
        }

        /// Calls `body` with the index of a layer and a batch of the rows that its weights multiply.
        func forEachInput(of layers: [any WeightedLayer], _ body: (Int, Tensor) -> Void) {
            withoutActuallyEscaping(body) { body in
                let products = layers.map(\.product)
                for (index, layer) in layers.enumerated() { layer.product = ObservedProduct(products[index]) { body(index, $0) } }
                forEachBatch(backward: false) { _ in }
                for (layer, product) in zip(layers, products) { layer.product = product }
            }
        }
    }
}
