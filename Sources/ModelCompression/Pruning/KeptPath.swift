internal import CTraining

/// Paths of kept weights from the inputs of a network to its outputs. Without one the outputs are constant, however many weights are kept
/// elsewhere (layer collapse: Tanaka et al. 2020, arXiv:2006.05467).
internal struct KeptPath {
    private let layers: [any WeightedLayer]

    init(_ network: TrainableNetwork) {
        layers = network.weightedLayers
    }

    /// Whether an output depends on an input with `masks` by layer name; other layers have their present ones.
    func connects(_ masks: [String: [UInt8]]) -> Bool { reached(masks) != nil }

    // Of each layer the outputs that depend on an input, 1, and the others, 0; nil where no output of some layer does.
    private func reached(_ masks: [String: [UInt8]]) -> [[UInt8]]? {
        var result: [[UInt8]] = []
        for (index, layer) in layers.enumerated() {
            let (rows, columns) = (layer.weight.value.rows, layer.weight.value.columns)
            let live = period(index).map { _ in result[index - 1] } ?? [1]
            var outputs = [UInt8](repeating: 0, count: rows)
            func reach(_ mask: UnsafePointer<UInt8>?) -> Bool { ck_reached_rows_u8(mask, rows, columns, live, live.count, &outputs) != 0 }
            guard masks[layer.name].map({ $0.withUnsafeBufferPointer { reach($0.baseAddress) } }) ?? layer.weight.withMask(reach) else { return nil }
            result.append(outputs)
        }
        return result
    }

    // Input column c of a layer is output c mod period of the one before, also behind Flatten. Nil for the first layer, whose inputs all count,
    // and behind layers of other kinds that change the number of channels.
    private func period(_ index: Int) -> Int? {
        guard index > 0 else { return nil }
        let outputs = layers[index - 1].weight.value.rows
        return layers[index].weight.value.columns % outputs == 0 ? outputs : nil
    }

    /// A path within the present masks, from the last layer to the first along the best groups: the group of each pruned layer that it goes
    /// through, by name; nil where there is none.
    ///
    /// - Parameter groups: scores of the groups of pruned layers, by name.
    func find(groups: [String: [Double]], _ configuration: PruningConfiguration) -> [String: Int]? {
        guard let reached = reached([:]) else { return nil }
        var path: [String: Int] = [:]
        var output: Int?
        for index in layers.indices.reversed() {
            let layer = layers[index], period = period(index)
            let sources = period.map { _ in reached[index - 1] } ?? [1]
            // Behind a layer of whole outputs, those that score best.
            let behind = configuration.granularity.isStructured && period != nil ? groups[layers[index - 1].name] : nil
            guard let edge = bestEdge(layer, of: output, sources: sources, scores: groups[layer.name], behind: behind, configuration) else {
                return nil
            }
            if groups[layer.name] != nil { path[layer.name] = configuration.group(of: layer, row: edge.row, column: edge.column) }
            output = period.map { edge.column % $0 }
        }
        return path
    }

    private func bestEdge(
        _ layer: any WeightedLayer, of output: Int?, sources: [UInt8], scores: [Double]?, behind: [Double]?, _ configuration: PruningConfiguration
    ) -> (row: Int, column: Int)? {
        let columns = layer.weight.value.columns, mask = layer.weight.mask
        var best: (value: (Double, Double), row: Int, column: Int)?
        for row in output.map({ $0..<$0 + 1 }) ?? 0..<layer.weight.value.rows {
            for column in 0..<columns where sources[column % sources.count] != 0 && mask?[row * columns + column] != 0 {
                let own = scores?[configuration.group(of: layer, row: row, column: column)] ?? 0
                let value = (own, behind?[column % sources.count] ?? 0)
                if best.map({ value > $0.value }) ?? true { best = (value, row, column) }
            }
        }
        return best.map { ($0.row, $0.column) }
    }
}
