import ArgumentParser
import CompactNumerics
import ModelCompression

struct PrecisionStudy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "precision",
        abstract: "Training in FP32, TF32, BF16 and FP16, with and without loss scaling, and where gradients lie.",
        discussion: """
            The second setting has large batches, whose mean makes gradients small, and multiplies the outputs by a power of two before the loss, as a
            temperature does: gradients are then so small that FP16 loses them, and scaling the loss brings them back. Small data, such as digits, fill no
            large batch: there all samples are one, with a smaller factor, a higher learning rate, and epochs until there are enough steps. A run that
            diverges has no accuracy; the notes say so.
            """)

    @OptionGroup var options: StudyOptions

    @Option(help: "Samples of a step of the second setting. (default: 2048, or all where there are fewer)")
    var batch: Int?

    @Option(
        parsing: .unconditional, help: "The outputs of the second setting are multiplied by 2 to this power. (default: -10, below 10,000 samples -11)"
    )
    var outputExponent: Int?

    private static let runs: [(name: String, arithmetic: Arithmetic, scaling: LossScaling)] = [
        ("FP32", .float32, .none), ("TF32", .tf32, .none), ("BF16", .bf16, .none), ("FP16", .fp16, .none), ("FP16, dynamic scaling", .fp16, .dynamic),
        ("FP16, scale 1,024", .fp16, .fixed(1024)),
    ]

    func run() throws {
        if let outputExponent, !(-40...0).contains(outputExponent) {
            throw BenchmarkError("--output-exponent: expected -40…0, found \(outputExponent)")
        }
        if let batch, batch < 1 { throw BenchmarkError("--batch: expected at least 1, found \(batch)") }
        let laboratory = try Laboratory(options, "Precision")
        let plain = PrecisionSetting(name: "plain", widths: laboratory.widths, outputScale: 1, training: laboratory.configuration(seed: 0))
        let hard = hardSetting(laboratory)
        for setting in [plain, hard] {
            for run in Self.runs {
                try laboratory.row("\(setting.name): \(run.name)") { seed in
                    let network = try laboratory.newNetwork(seed: seed)
                    try laboratory.train(network, setting.configuration(run.arithmetic, run.scaling, seed: seed), loss: setting.loss())
                    return try evaluate(network, laboratory.test, arithmetic: run.arithmetic)
                }
            }
            try printHistogram(laboratory, setting)
        }
        try laboratory.finish()
    }

    /// The setting that FP16 fails without scaling: 400 steps at least, unless epochs are given.
    private func hardSetting(_ laboratory: Laboratory) -> PrecisionSetting {
        let exponent = outputExponent ?? (laboratory.isSmall ? -11 : -10)
        var training = laboratory.configuration(seed: 0, rate: laboratory.isSmall ? 1e-2 : 3e-3)
        training.batchSize = batch ?? min(2048, laboratory.training.count)
        let steps = (laboratory.training.count + training.batchSize - 1) / training.batchSize
        if options.epochs == nil { training.epochs = max(training.epochs, (400 + steps - 1) / steps) }
        return PrecisionSetting(
            name: "batch \(training.batchSize), \(training.epochs) epochs, × 2^\(exponent)", widths: laboratory.widths,
            outputScale: Float(sign: .plus, exponent: exponent, significand: 1), training: training)
    }

    private func printHistogram(_ laboratory: Laboratory, _ setting: PrecisionSetting) throws {
        let network = try laboratory.newNetwork(seed: 0), recorder = GradientRecorder(interval: 20)
        var configuration = setting.configuration(.float32, .none, seed: 0)
        configuration.epochs = 2
        let trainer = try Trainer(network, data: laboratory.training, configuration: configuration, loss: setting.loss())
        try recorder.attach(to: trainer)
        _ = try trainer.run()
        laboratory.figures.append("<h2>Gradients, \(setting.name)</h2>")
        print("\n    gradients with respect to outputs (float32, 2 epochs): exponents, and the share that FP16 makes 0 or subnormal")
        for layer in network.layers {
            guard let histogram = recorder.layers[layer.name], let range = histogram.range else { continue }
            let shares = [Float(1), 65_536].map {
                "× \(Int($0)): \(fixed(100 * histogram.flushedShare(scale: $0), 1)) % to 0, \(fixed(100 * histogram.subnormalShare(scale: $0), 1)) % subnormal"
            }
            print("    \(layer.name): 2^\(range.lowerBound) … 2^\(range.upperBound); \(shares.joined(separator: "; "))")
            print("      " + bars(histogram, range))
            laboratory.figures += [Float(1), 65_536].map { StudyPage.gradients(layer: layer.name, histogram, scale: $0) }
        }
        laboratory.figures.append(
            "<p class=\"note\">How often each exponent occurs (float32, 2 epochs), unscaled and with the loss times 65,536. Red: FP16 makes 0 of it; yellow: subnormal.</p>"
        )
        print("")
    }

    // Eight heights for each four exponents.
    private func bars(_ histogram: GradientHistogram, _ range: ClosedRange<Int>) -> String {
        let groups = stride(from: range.lowerBound, through: range.upperBound, by: 2).map { (first: Int) -> Int in
            (first..<first + 2).reduce(0) { $0 + histogram.count(exponent: $1) }
        }
        let most = Double(max(1, groups.max() ?? 1)), heights = Array("▁▂▃▄▅▆▇█")
        return String(groups.map { $0 == 0 ? " " : heights[min(7, Int(Double($0) / most * 8))] })
    }
}
