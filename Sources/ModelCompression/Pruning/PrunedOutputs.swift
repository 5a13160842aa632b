internal import CTraining

extension TrainableNetwork {
    /// Masks everything that belongs to outputs of which no weight is kept: their bias, scale and shift of batch normalization behind
    /// them, and the columns of the next weighted layer. Their activations are then 0, and the weights that masks keep are those of
    /// `removingPrunedOutputs`.
    ///
    /// - Precondition: none of `names` is the last weighted layer.
    internal func maskPrunedOutputs(of names: [String]) {
        for (index, layer) in layers.enumerated() {
            guard names.contains(layer.name), let layer = layer as? any WeightedLayer, let mask = layer.weight.mask else { continue }
            let (rows, columns) = (layer.weight.value.rows, layer.weight.value.columns)
            var live = [UInt8](repeating: 0, count: rows)
            ck_live_rows_u8(mask, rows, columns, &live)
            guard live.contains(0) else { continue }
            layer.bias?.mask = live
            maskConsumers(behind: index, live: live)
        }
    }

    private func maskConsumers(behind index: Int, live: [UInt8]) {
        for layer in layers[(index + 1)...] {
            if let next = layer as? any WeightedLayer {
                let (rows, columns) = (next.weight.value.rows, next.weight.value.columns)
                var mask = next.weight.mask ?? [UInt8](repeating: 1, count: rows * columns)
                ck_mask_columns_u8(&mask, rows, columns, live, live.count)
                next.weight.mask = mask
                return
            }
            guard let normalization = layer as? BatchNormLayer else { continue }
            // Behind Flatten a channel is at c, c + C, …
            let repeated = (0..<normalization.channels).map { live[$0 % live.count] }
            normalization.gamma.mask = repeated
            normalization.beta.mask = repeated
        }
    }
}
