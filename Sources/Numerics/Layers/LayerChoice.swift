internal import Foundation

/// What one format made of a layer: measured time, bytes and error.
public struct FormatFigures: Sendable, Hashable {
    public let format: WeightFormat
    /// Median seconds of one run on the sample.
    public let seconds: Double
    /// Bytes really held by weights and bias.
    public let byteCount: Int
    /// √(Σ(y − y₀)² / Σy₀²) over the outputs for the sample, y₀ those of the float32 layer.
    public let relativeError: Double
}

/// The format that a layer was given, and why: the figures of all formats that were tried.
public struct LayerChoice: Sendable {
    /// Name of the layer in the network.
    public let layer: String
    public let inputs: Int
    public let outputs: Int
    /// Rows of activations that the times are for.
    public let rows: Int
    /// float32 and the candidates, in the order in which they were given.
    public let figures: [FormatFigures]
    /// Candidates that this layer cannot be stored in, with the reason.
    public let unsuited: [(format: WeightFormat, reason: NumericsError)]
    // Into figures; float32 comes first.
    internal let chosen: Int
    /// The largest relative error that was allowed.
    internal let maximumError: Double

    private var choice: FormatFigures { figures[chosen] }
    /// The chosen format.
    public var format: WeightFormat { choice.format }
    /// Median seconds of one run.
    public var seconds: Double { choice.seconds }
    /// Bytes really held by weights and bias.
    public var byteCount: Int { choice.byteCount }
    /// How many times as fast as float32 the chosen format is.
    public var ratioToFloat32: Double { figures[0].seconds / choice.seconds }
    /// Relative RMS error of the outputs against those of the float32 layer.
    public var relativeError: Double { choice.relativeError }

    /// The same measurements with float32 chosen, for the sake of the whole network.
    internal var inFloat32: LayerChoice {
        LayerChoice(
            layer: layer, inputs: inputs, outputs: outputs, rows: rows, figures: figures, unsuited: unsuited, chosen: 0, maximumError: maximumError)
    }

    /// Why the layer stays in float32, with the speed of all that was tried against it; nil where another format was chosen. Where float32 has a matrix
    /// unit of its own, as by Accelerate on Apple silicon, it is the fastest for many rows.
    public var reasonForFloat32: String? {
        guard format == .float32 else { return nil }
        func list(_ figures: [FormatFigures]) -> String {
            figures.map { "\($0.format) " + String(format: "%.2f", self.figures[0].seconds / $0.seconds) + " ×" }.joined(separator: ", ")
        }
        let others = figures.dropFirst(), faster = others.filter { $0.seconds < figures[0].seconds }
        let tooWrong = faster.filter { !($0.relativeError <= maximumError) }, alone = faster.filter { $0.relativeError <= maximumError }
        let slower = others.filter { $0.seconds >= figures[0].seconds }
        var words: [String] = []
        if !slower.isEmpty { words.append("no faster than \(BLASLibrary.description): " + list(slower)) }
        if !alone.isEmpty { words.append("faster alone, but not in the whole network: " + list(alone)) }
        if !tooWrong.isEmpty { words.append("faster, but with a larger error than allowed: " + list(tooWrong)) }
        return words.isEmpty ? "no other format suits it" : words.joined(separator: "; ")
    }
}

extension LayerChoice: CustomStringConvertible {
    /// One line, whose columns stand below those of other choices.
    public var description: String {
        let shape = "\(rows)×\(inputs)×\(outputs)"
        return "layer " + layer.padded(24) + shape.padded(18) + format.description.padded(13)
            + String(
                format: "%10.1f µs %8.2f × float32 %12.1f kB   error %8.3f %%", seconds * 1e6, ratioToFloat32, Double(byteCount) / 1e3,
                relativeError * 100)
    }
}

extension String {
    fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
