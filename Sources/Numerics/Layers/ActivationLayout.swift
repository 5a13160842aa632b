/// How the activations of M rows with K features lie in memory.
public enum ActivationLayout: Sendable, Hashable {
    /// A matrix [M, K]: the features of one row lie side by side.
    case rowMajor
    /// A matrix [K, M]: one feature of all rows lies side by side.
    case featureMajor
}

/// The layouts of activations that a layer reads and writes without a transpose.
public enum LayoutSupport: Sendable, Hashable {
    /// Row-major input and output.
    case rowMajor
    /// Any, and the output has the layout of the input: steps that treat each element alone.
    case unchanged
    /// Any input and any output, at the same cost.
    case any
    /// Any input and any output, faster where they are feature-major.
    case prefersFeatureMajor
}

extension LayoutSupport {
    /// What reading `input` and writing `output` costs beyond the best case of the layer; nil where it cannot. Only the order of
    /// these numbers matters: a sparse layer that transposes is worse than a dense one whose BLAS packs columns for rows.
    fileprivate func cost(_ input: ActivationLayout, _ output: ActivationLayout) -> Int? {
        let sides = [input, output]
        return switch self {
        case .rowMajor: sides == [.rowMajor, .rowMajor] ? 0 : nil
        case .unchanged: input == output ? 0 : nil
        case .any: sides.count { $0 == .featureMajor }
        case .prefersFeatureMajor: sides.count { $0 == .rowMajor } * 4
        }
    }
}

/// The layouts before, between and after layers in sequence that cost least, row-major at both ends; `layers.count` + 1 of them.
internal func cheapestLayouts(_ layers: [LayoutSupport]) -> [ActivationLayout] {
    // The cheapest way to each layout behind the layers so far.
    var ways: [ActivationLayout: (cost: Int, layouts: [ActivationLayout])] = [.rowMajor: (0, [.rowMajor])]
    for layer in layers {
        var next: [ActivationLayout: (cost: Int, layouts: [ActivationLayout])] = [:]
        for output in [ActivationLayout.rowMajor, .featureMajor] {
            for input in [ActivationLayout.rowMajor, .featureMajor] {
                guard let way = ways[input], let step = layer.cost(input, output) else { continue }
                if let known = next[output], known.cost <= way.cost + step { continue }
                next[output] = (way.cost + step, way.layouts + [output])
            }
        }
        ways = next
    }
    // Every layer can take and give row-major, so that a way to it always exists.
    return ways[.rowMajor]?.layouts ?? Array(repeating: .rowMajor, count: layers.count + 1)
}

extension Matrix {
    /// Rows of activations, M, in a matrix of this layout.
    internal func batch(_ layout: ActivationLayout) -> Int { layout == .rowMajor ? rows : columns }
    /// Features of activations, K, in a matrix of this layout.
    internal func features(_ layout: ActivationLayout) -> Int { layout == .rowMajor ? columns : rows }

    /// Zeros for `rows` rows of `features` in a layout.
    internal init(batch rows: Int, features: Int, layout: ActivationLayout) {
        self.init(rows: layout == .rowMajor ? rows : features, columns: layout == .rowMajor ? features : rows)
    }
}
