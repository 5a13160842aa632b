import ArgumentParser
import CompactNumerics
import ModelCompression

struct BitsStudy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bits",
        abstract: "Weights of 16, 8, 4, 3, 2 and 1 bits: rounding to nearest, searched scales, GPTQ, and quantization-aware training.",
        discussion: "Every accuracy is that of the deployed network, with int8 activations unless it says weight-only.")

    @OptionGroup var options: StudyOptions

    func run() throws {
        let laboratory = try Laboratory(options, "Bits")
        try laboratory.row("dense, float32") { try evaluate(laboratory.trained(seed: $0).network, laboratory.test) }
        for name in ["f16", "bf16"] { try round(laboratory, name, .nearest, .dynamic) }
        for name in ["w8a8", "w4a8-channel", "w3a8-channel", "w2a8-channel", "ternary-channel", "w1a8-channel"] {
            for rounding in [WeightRounding.nearest, .searchedScale, .gptq] { try round(laboratory, name, rounding, .none) }
        }
        for name in ["w4a8-channel", "w3a8-channel", "w2a8-channel"] {
            for rounding in [WeightRounding.nearest, .gptq] { try round(laboratory, name, rounding, .none, weights: .asymmetric) }
        }
        for (activations, calibration) in [
            (ActivationScales.dynamic, CalibrationMethod.minMax), (.static, .minMax), (.static, .percentile()), (.static, .meanSquaredError),
            (.static, .entropy),
        ] { try round(laboratory, "w8a8", .nearest, activations, calibration) }
        try round(laboratory, "w4a8-channel", .gptq, .static)
        for name in ["w8a8", "w4a8-channel", "w3a8-channel", "w2a8-channel", "ternary-channel", "w1a8-channel"] { try train(laboratory, name) }
        try pruneAndQuantize(laboratory)
        try laboratory.finish()
    }

    private func round(
        _ laboratory: Laboratory, _ name: String, _ rounding: WeightRounding, _ activations: ActivationScales,
        _ calibration: CalibrationMethod = .minMax,
        weights: WeightSymmetry = .symmetric
    ) throws {
        let configuration = QuantizationConfiguration(
            format: try WeightFormat(named: name), activations: activations, calibration: calibration, rounding: rounding,
            weights: weights, samples: 4096)
        let kind =
            activations == .none
            ? "weight-only, \(weights == .asymmetric ? "asymmetric, " : "")\(rounding)" : "\(rounding), activations \(activations), \(calibration)"
        try laboratory.row(name.hasSuffix("16") ? name : "\(name): \(kind)") { seed in
            let network = try laboratory.trained(seed: seed).network
            return try evaluate(Deployment(quantization: configuration).deploy(network, data: laboratory.training), laboratory.test)
        }
    }

    private func train(_ laboratory: Laboratory, _ name: String) throws {
        let configuration = QuantizationConfiguration(format: try WeightFormat(named: name))
        try laboratory.row("\(name): quantization-aware training") { seed in
            let network = try laboratory.trained(seed: seed).network
            try network.prepareQuantizationAwareTraining(configuration)
            try laboratory.train(network, laboratory.configuration(seed: 2000 + seed))
            return try evaluate(Deployment().deploy(network), laboratory.test)
        }
    }

    private func pruneAndQuantize(_ laboratory: Laboratory) throws {
        try laboratory.row("12× pruned, then int8 (CSR of int8)") { seed in
            let network = try laboratory.trained(seed: seed).network
            let pruner = try Pruner(network, configuration: PruningConfiguration(ratio: 12, schedule: PruningStudy.gradual))
            _ = try pruner.run(training: laboratory.training, fineTuning: laboratory.configuration(seed: 1000 + seed))
            return try evaluate(
                Deployment(quantization: QuantizationConfiguration(format: WeightFormat(named: "w8a8-tensor")), minimumSparsity: 0).deploy(network),
                laboratory.test)
        }
    }
}
