public import Foundation

/// What one step of a recipe did.
public struct StepRecord: Sendable, Hashable, Codable {
    public let step: String
    /// On the test data, 0…1, of the network that trains.
    public let accuracyBefore: Double
    public let accuracyAfter: Double
    /// Weights that no mask prunes, biases not counted.
    public let keptWeights: Int
    public let seconds: Double
    /// Layers of which pruning left next to nothing, as `PruningReport.warnings` says it; empty in records of versions that did not warn.
    public let warnings: [String]
}

extension StepRecord {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        step = try container.decode(String.self, forKey: .step)
        accuracyBefore = try container.decode(Double.self, forKey: .accuracyBefore)
        accuracyAfter = try container.decode(Double.self, forKey: .accuracyAfter)
        keptWeights = try container.decode(Int.self, forKey: .keptWeights)
        seconds = try container.decode(Double.self, forKey: .seconds)
        warnings = try container.decodeIfPresent([String].self, forKey: .warnings) ?? []
    }
}

/// One layer with weights, before and after.
public struct LayerReport: Sendable, Hashable, Codable {
    public let name: String
    /// The deployed form: "sparse 1x1 int8", "w8a8", "float32".
    public let form: String
    public let weightsBefore: Int
    /// What the deployed layer holds: of one with pruned weights those other than 0.
    public let weightsAfter: Int
    /// Bytes held in memory, bias included.
    public let bytesBefore: Int
    public let bytesAfter: Int
    /// Multiply–adds of one sample.
    public let multiplyAddsBefore: Int
    public let multiplyAddsAfter: Int
}

/// What a recipe cost and gained. Everything is measured but the energy, which is modelled.
public struct CompressionReport: Sendable, Hashable, Codable, CustomStringConvertible {
    public let recipe: String
    public let steps: [StepRecord]
    public let layers: [LayerReport]
    /// Of the deployed networks on the test data, 0…1.
    public let accuracyBefore: Double
    public let accuracyAfter: Double
    /// All layers, in memory.
    public let bytesBefore: Int
    public let bytesAfter: Int
    /// Of the files that `DeployedModel` and `saveWeights` write.
    public let fileBytesBefore: Int
    public let fileBytesAfter: Int
    public let latencies: [LatencyReport]
    /// Microjoules of one sample at batch 1, modelled: see `EnergyModel`.
    public let modelledMicrojoulesBefore: Double
    public let modelledMicrojoulesAfter: Double

    public var parametersBefore: Int { layers.reduce(0) { $0 + $1.weightsBefore } }
    public var parametersAfter: Int { layers.reduce(0) { $0 + $1.weightsAfter } }
    public var multiplyAddsBefore: Int { layers.reduce(0) { $0 + $1.multiplyAddsBefore } }
    public var multiplyAddsAfter: Int { layers.reduce(0) { $0 + $1.multiplyAddsAfter } }

    /// A table of several lines.
    public var description: String {
        func percent(_ value: Double) -> String { String(format: "%.2f %%", 100 * value) }
        func line(_ what: String, _ before: String, _ after: String, _ ratio: Double?) -> String {
            what.padding(toLength: 34, withPad: " ", startingAt: 0) + before.leftPadded(14) + after.leftPadded(14)
                + (ratio.map { String(format: "%.2f×", $0) } ?? "").leftPadded(10)
        }
        func count(_ what: String, _ before: Int, _ after: Int) -> String {
            line(what, "\(before)", "\(after)", Double(before) / Double(max(1, after)))
        }
        var lines = [line(recipe, "before", "after", nil)]
        lines.append(line("accuracy", percent(accuracyBefore), percent(accuracyAfter), nil))
        lines.append(count("weights", parametersBefore, parametersAfter))
        lines.append(count("bytes in memory", bytesBefore, bytesAfter))
        lines.append(count("bytes on disk", fileBytesBefore, fileBytesAfter))
        lines.append(count("multiply–adds per sample", multiplyAddsBefore, multiplyAddsAfter))
        for latency in latencies {
            lines.append(
                line(
                    "ms per call, batch \(latency.batch), p50", String(format: "%.4f", latency.p50Before), String(format: "%.4f", latency.p50After),
                    latency.p50Before / latency.p50After))
            lines.append(
                line(
                    "ms per call, batch \(latency.batch), p99", String(format: "%.4f", latency.p99Before), String(format: "%.4f", latency.p99After),
                    latency.p99Before / latency.p99After))
        }
        for latency in latencies where latency.p50After > latency.p50Before {
            let times = String(format: "%.4f instead of %.4f ms", latency.p50After, latency.p50Before)
            lines.append("warning: slower than float32 at batch \(latency.batch): \(times) per call")
        }
        lines.append(
            line(
                "µJ per sample (modelled)", String(format: "%.2f", modelledMicrojoulesBefore), String(format: "%.2f", modelledMicrojoulesAfter),
                modelledMicrojoulesBefore / modelledMicrojoulesAfter))
        lines.append("")
        for step in steps {
            lines.append(
                "\(step.step.padding(toLength: 24, withPad: " ", startingAt: 0)) \(percent(step.accuracyBefore)) → \(percent(step.accuracyAfter)), "
                    + "\(step.keptWeights) weights, \(String(format: "%.1f", step.seconds)) s")
            lines += step.warnings.map { "  warning: \($0)" }
        }
        lines.append("")
        for layer in layers {
            lines.append(
                "\(layer.name.padding(toLength: 10, withPad: " ", startingAt: 0)) \(layer.form.padding(toLength: 26, withPad: " ", startingAt: 0)) "
                    + "\(layer.weightsBefore) → \(layer.weightsAfter) weights, \(layer.bytesBefore) → \(layer.bytesAfter) bytes, "
                    + "\(layer.multiplyAddsBefore) → \(layer.multiplyAddsAfter) multiply–adds")
        }
        return lines.joined(separator: "\n")
    }

    /// The report as JSON.
    public func json() -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)) ?? Data()
    }
}

extension String {
    fileprivate func leftPadded(_ width: Int) -> String { String(repeating: " ", count: max(1, width - count)) + self }
}

/// Energy of one sample at batch 1, modelled after Horowitz (ISSCC 2014, 45 nm), never measured: each multiply–add costs a multiplication and an
/// addition of its format; each weight byte is read from DRAM once (640 pJ for 4 bytes), each operand of a multiply–add from an 8 KB SRAM (5 pJ for 4
/// bytes).
public enum EnergyModel {
    /// Picojoules.
    static let multiplyAddFloat32 = 3.7 + 0.9, multiplyAddInt8 = 0.2 + 0.1, multiplyAddFloat16 = 1.1 + 0.4
    static let dramByte = 640.0 / 4, sramByte = 5.0 / 4

    /// Microjoules of `multiplyAdds` on operands of `bits` bits with `weightBytes` bytes of weights.
    public static func microjoules(multiplyAdds: Int, weightBytes: Int, bits: Int) -> Double {
        let operation = bits <= 8 ? multiplyAddInt8 : bits == 16 ? multiplyAddFloat16 : multiplyAddFloat32
        let operands = 2 * sramByte * Double(max(8, bits)) / 8
        return (Double(multiplyAdds) * (operation + operands) + Double(weightBytes) * dramByte) * 1e-6
    }
}
