internal import CompactNumerics

extension TrainableNetwork {
    /// A network of the same outputs in which batch normalization directly behind a layer with weights has become part of it (Jacob et al.
    /// 2018, arXiv:1712.05877).
    ///
    /// - Throws: never for a sound network; the errors of `init(inputShape:layers:)`.
    public func foldingBatchNormalization() throws(CompressionError) -> TrainableNetwork {
        var folded: [any TrainableLayer] = []
        for layer in layers {
            if let normalization = layer as? BatchNormLayer, let last = folded.last, let merged = Self.fold(normalization, into: last) {
                folded[folded.count - 1] = merged
            } else {
                folded.append(layer.copy())
            }
        }
        return try TrainableNetwork(inputShape: inputShape, layers: folded)
    }

    // A channel of outputs is y · factor + shift behind the normalization. Nil where a layer's outputs are not its channels.
    private static func fold(_ normalization: BatchNormLayer, into layer: any TrainableLayer) -> (any TrainableLayer)? {
        guard let layer = layer as? any WeightedLayer, layer.weight.value.rows == normalization.channels else { return nil }
        let weight = layer.weight.copy(), (rows, columns) = (weight.value.rows, weight.value.columns)
        let bias = layer.bias?.copy() ?? Parameter(name: layer.name + ".bias", value: Tensor(rows: 1, columns: rows), decays: false)
        // A pruned output stays pruned; every other one has a shift now, whatever its bias was.
        bias.mask = normalization.gamma.mask.flatMap { scales in normalization.beta.mask.map { zip(scales, $0).map { $0 | $1 } } }
        for row in 0..<rows {
            let factor = normalization.gamma.value.pointer[row] / (normalization.runningVariance.pointer[row] + normalization.epsilon).squareRoot()
            for column in 0..<columns { weight.value.pointer[row * columns + column] *= factor }
            bias.value.pointer[row] =
                (bias.value.pointer[row] - normalization.runningMean.pointer[row]) * factor + normalization.beta.value.pointer[row]
        }
        if let layer = layer as? Conv2DLayer {
            return Conv2DLayer(layer.name, windows: layer.windows, weight: weight, bias: bias, product: layer.product.copy())
        }
        return layer is DenseLayer ? DenseLayer(layer.name, weight: weight, bias: bias, product: layer.product.copy()) : nil
    }

    /// Scales the channels between layers with weights so that their ranges in both are equal, √(r₁ · r₂), which leaves all outputs as they are
    /// within float rounding (Nagel et al. 2019, arXiv:1906.04721). Only where nothing but ReLU, pooling, dropout and flattening lies between.
    public func equalizeLayers(rounds: Int = 10) {
        for _ in 0..<rounds {
            for (index, layer) in layers.enumerated() {
                guard let first = layer as? any WeightedLayer, let second = nextWeighted(behind: index) else { continue }
                equalize(first, second)
            }
        }
    }

    private func nextWeighted(behind index: Int) -> (any WeightedLayer)? {
        for layer in layers[(index + 1)...] {
            switch layer {
            case let next as any WeightedLayer: return next
            case is ReLULayer, is MaxPoolLayer, is AveragePoolLayer, is DropoutLayer, is FlattenLayer: continue
            default: return nil
            }
        }
        return nil
    }

    private func equalize(_ first: any WeightedLayer, _ second: any WeightedLayer) {
        let (w1, w2) = (first.weight.value, second.weight.value), channels = w1.rows
        for channel in 0..<channels {
            let row = w1.pointer + channel * w1.columns
            let r1 = (0..<w1.columns).reduce(Float(0)) { max($0, abs(row[$1])) }
            // Of the weights behind, channel c of position p is column p · C + c.
            var r2 = Float(0)
            for n in 0..<w2.rows {
                for column in stride(from: channel, to: w2.columns, by: channels) { r2 = max(r2, abs(w2.pointer[n * w2.columns + column])) }
            }
            let factor = (r2 / r1).squareRoot()
            guard r1 > 0, r2 > 0, factor.isFinite, factor > 0 else { continue }
            for k in 0..<w1.columns { row[k] *= factor }
            first.bias?.value.pointer[channel] *= factor
            for n in 0..<w2.rows {
                for column in stride(from: channel, to: w2.columns, by: channels) { w2.pointer[n * w2.columns + column] /= factor }
            }
        }
    }
}
