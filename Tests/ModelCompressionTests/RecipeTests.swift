import CompactNumerics
import Foundation
import ModelFiles
@testable import ModelCompression
import Testing

@Suite struct RecipeTests {
    private static let quick = RecipeTraining(epochs: 4, batchSize: 50, learningRate: 5e-3)

    private func recipe(_ text: String) throws -> CompressionRecipe { try CompressionRecipe(json: Data(text.utf8)) }

    @Test func recipesSurviveJSON() throws {
        let short = try recipe(
            """
            {"name": "small", "steps": [
              {"train": {"epochs": 3}},
              {"prune": {"ratio": 12, "schedule": "cubic", "score": "taylor", "excludedLayers": ["fc2"], "fineTuning": {"epochs": 2}}},
              {"prune": {"granularity": "2:4", "start": "rewound", "rewindEpoch": 1}},
              {"prune": {"sparsity": 0.5, "granularity": "4x1", "schedule": "iterative", "rounds": 2, "start": "reinitialized", "startSeed": 4}},
              {"removePrunedOutputs": {}}, {"foldBatchNormalization": {}}, {"distil": {"temperature": 4}},
              {"quantize": {"format": "w4a8-channel", "layerFormats": {"fc2": "float32"}, "activations": "static", "calibration": "entropy", "rounding": "gptq"}}]}
            """)
        #expect(try CompressionRecipe(json: short.json()) == short)
        guard case .prune(let first) = short.steps[1], case .prune(let second) = short.steps[2], case .quantize(let last) = short.steps[7] else {
            Issue.record("steps in another order")
            return
        }
        #expect(first.pruning.sparsity == 1 - 1 / 12.0 && first.pruning.score == .taylor && first.fineTuning.epochs == 2)
        #expect(second.pruning.granularity == .nOfM(keep: 2, of: 4) && second.pruning.sparsity == 0.5 && second.pruning.start == .rewound(epoch: 1))
        // What has no short form either.
        var gradual = PruningConfiguration(
            sparsity: 0.3, score: .random(seed: 7), schedule: .linear(begin: 0.1, end: 0.7, every: 13))
        for schedule in [gradual.schedule, .cubic(begin: 0.2, end: 0.9, every: 20), .iterative(rounds: 5)] {
            gradual.schedule = schedule
            let recipe = CompressionRecipe(name: "x", steps: [.prune(RecipePruning(gradual, fineTuning: Self.quick))])
            #expect(try CompressionRecipe(json: recipe.json()) == recipe)
        }
        (gradual.start, gradual.score, gradual.scoreSamples) = (.reinitialized(seed: 8), .activationTimesWeight, 9)
        for calibration in [CalibrationMethod.percentile(outside: 0.01), .movingAverage(share: 0.3), .meanSquaredError] {
            let quantization = QuantizationConfiguration(
                format: .threeBits(.w4a8), activations: .staticSymmetric, calibration: calibration, samples: 7)
            let steps: [CompressionStep] = [
                .prune(RecipePruning(gradual)), .trainQuantized(RecipeQuantizedTraining(quantization, training: Self.quick)),
            ]
            let recipe = CompressionRecipe(name: "x", steps: steps)
            #expect(try CompressionRecipe(json: recipe.json()) == recipe)
        }
        #expect(last.configuration.layerFormats == ["fc2": .float32] && last.configuration.calibration == .entropy)
    }

    @Test(arguments: [
        (
            #"{"steps": [{"train": {"epoch": 3}}]}"#,
            "key of training: expected epochs, batchSize, learningRate, weightDecay, seed, arithmetic, scalesLoss, found epoch"
        ),
        (#"{"steps": [{"prune": {"ratio": 12, "sparsity": 0.5}}]}"#, "ratio or sparsity of prune"),
        (#"{"steps": [{"prune": {"ratio": 1}}]}"#, "ratio or sparsity of prune"),
        (#"{"steps": [{"prune": {"sparsity": 1.5}}]}"#, "ratio or sparsity of prune"),
        (#"{"steps": [{"prune": {"sparsity": 0.5, "score": "best"}}]}"#, "score of prune: expected magnitude"),
        (#"{"steps": [{"prune": {"sparsity": 0.5, "granularity": "rows"}}]}"#, "granularity of prune"),
        (#"{"steps": [{"train": {}, "prune": {"ratio": 2}}]}"#, "keys of a step"), (#"{"steps": [{"shrink": {}}]}"#, "key of a step: expected train"),
        (#"{"stps": []}"#, "key of a recipe"), (#"{"name": "x"}"#, "key steps of a recipe"),
        (#"{"steps": [{"train": {"epochs": "many"}}]}"#, "key epochs of training"),
        (#"{"steps": [{"quantize": {}}]}"#, "key format of quantization"),
        (#"{"steps": [{"quantize": {"format": "w5a8"}}]}"#, "format of weights: expected one of float32, f16"),
        (#"{"steps": [{"quantize": {"format": "w8a8", "activations": "static", "calibration": "guess"}}]}"#, "calibration of quantization"),
        // Options without effect beside the others.
        (#"{"steps": [{"quantize": {"format": "w8a8", "calibration": "entropy"}}]}"#, "key calibration of quantization"),
        (#"{"steps": [{"quantize": {"format": "w8a8", "activations": "static", "calibrationShare": 0.1}}]}"#, "key calibrationShare of quantization"),
        (#"{"steps": [{"quantize": {"format": "w8a8", "samples": 100}}]}"#, "key samples of quantization"),
        (#"{"steps": [{"quantize": {"format": "w8a8", "training": {}}}]}"#, "key of quantization: expected format"),
        (#"{"steps": [{"prune": {"ratio": 2, "seed": 3}}]}"#, "key seed of prune"),
        (#"{"steps": [{"prune": {"ratio": 2, "rounds": 3}}]}"#, "key rounds of prune"),
        (#"{"steps": [{"prune": {"ratio": 2, "schedule": "iterative", "every": 3}}]}"#, "key every of prune"),
        (#"{"steps": [{"prune": {"ratio": 2, "rewindEpoch": 1}}]}"#, "key rewindEpoch of prune"),
        (#"{"steps": [{"prune": {"ratio": 2, "start": "rewound", "startSeed": 1}}]}"#, "key startSeed of prune"),
        (#"{"steps": [{"prune": {"ratio": 2, "scoreSamples": 100}}]}"#, "key scoreSamples of prune"),
        (#"{"steps": [{"prune": {"granularity": "2:4", "scope": "layer"}}]}"#, "key scope of prune"),
        (#"{"steps": [{"prune": {"ratio": 2, "scope": "all"}}]}"#, "scope of prune: expected global, layer, output, found all"),
        (
            #"{"steps": [{"quantize": {"format": "w8a8", "activations": "fast"}}]}"#,
            "activations of quantization: expected dynamic, static, staticSymmetric, none, found fast"
        ),
        (#"{"steps": [{"train": {"arithmetic": "fp8"}}]}"#, "arithmetic of training: expected float32"),
        (#"{"steps": [{"removePrunedOutputs": {"x": 1}}]}"#, "key of removePrunedOutputs: expected none, found x"),
        (#"{"steps": [{"foldBatchNormalization": {"always": true}}]}"#, "key of foldBatchNormalization"),
        ("no JSON", "recipe: recipe: expected JSON"),
    ]) func wrongRecipesAreNamed(text: String, message: String) {
        let error = #expect(throws: CompressionError.self) { try recipe(text) }
        #expect("\(error!)".contains(message), "\(error!)")
    }

    @Test func contradictionsAreFoundBeforeAnythingRuns() throws {
        let network = try TrainableNetwork.mlp([64, 20, 10])
        func expectError(_ steps: [CompressionStep]) {
            #expect(throws: CompressionError.self) { try CompressionRecipe(name: "x", steps: steps).validate(for: network) }
        }
        let w8 = CompressionStep.quantize(RecipeQuantization(QuantizationConfiguration(format: .integer(.w8a8))))
        expectError([])
        expectError([w8, .train(Self.quick)])
        expectError([.prune(RecipePruning(PruningConfiguration(sparsity: 0.5, excludedLayers: ["fc7"])))])
        expectError([.prune(RecipePruning(PruningConfiguration(sparsity: 0.5, start: .rewound(epoch: 0))))])
        let half = CompressionStep.prune(RecipePruning(PruningConfiguration(sparsity: 0.5)))
        func quantize(_ configuration: QuantizationConfiguration) -> CompressionStep { .quantize(RecipeQuantization(configuration)) }
        func train(_ configuration: QuantizationConfiguration) -> CompressionStep { .trainQuantized(RecipeQuantizedTraining(configuration)) }
        // What changes nothing, and epochs that there are not.
        expectError([half, .prune(RecipePruning(PruningConfiguration(sparsity: 0.3)))])
        expectError([half, .train(Self.quick), half])
        expectError([.train(Self.quick), .prune(RecipePruning(PruningConfiguration(sparsity: 0.5, start: .rewound(epoch: 4))))])
        // Signs have no 0.
        expectError([half, quantize(QuantizationConfiguration(format: .integer(.w1a8)))])
        expectError([half, train(QuantizationConfiguration(format: .integer(.w1a8)))])
        expectError([half, quantize(QuantizationConfiguration(format: .integer(.w8a8), layerFormats: ["fc2": .integer(.w1a1)]))])
        // What training in integers does not do.
        expectError([train(QuantizationConfiguration(format: .integer(try .w4a8(groupSize: 32))))])
        expectError([train(QuantizationConfiguration(format: .integer(.w1a1)))])
        for configuration in [
            QuantizationConfiguration(format: .integer(.w8a8), activations: .none),
            QuantizationConfiguration(format: .integer(.w8a8), rounding: .gptq),
            QuantizationConfiguration(format: .integer(.w8a8), equalizesLayers: true),
            QuantizationConfiguration(format: .integer(.w8a8), correctsBias: true),
        ] { expectError([train(configuration)]) }
        expectError([.train(RecipeTraining(epochs: 0))])
        expectError([.distil(RecipeDistillation(temperature: 0))])
        #expect(throws: Never.self) { try CompressionRecipe(name: "x", steps: [.train(Self.quick), w8]).validate(for: network) }
    }

    private func run(_ recipe: CompressionRecipe, directory: String? = nil) throws -> CompressionRun {
        try CompressionRun(
            recipe, network: .mlp([64, 40, 20, 10], seed: 3), training: .digits(.training), test: .digits(.test), directory: directory)
    }

    private static let whole = CompressionRecipe(
        name: "whole",
        steps: [
            .train(quick), .prune(RecipePruning(PruningConfiguration(sparsity: 0.3, granularity: .units, scope: .layer), fineTuning: quick)),
            .removePrunedOutputs,
            .prune(RecipePruning(PruningConfiguration(sparsity: 0.75, schedule: .iterative(rounds: 2)), fineTuning: quick)),
            .distil(RecipeDistillation(training: quick)), .quantize(RecipeQuantization(QuantizationConfiguration(format: .integer(.w8a8)))),
        ])

    /// The teacher is the network behind the training, before anything was compressed; also in a run that goes on from files.
    @Test func theTeacherIsTheDenseNetwork() throws {
        let steps: [CompressionStep] = [
            .train(Self.quick), .prune(RecipePruning(PruningConfiguration(sparsity: 0.9), fineTuning: Self.quick)),
            .distil(RecipeDistillation(training: Self.quick)),
        ]
        let directory = NSTemporaryDirectory() + "recipe-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let trained = try run(CompressionRecipe(name: "dense", steps: [.train(Self.quick)]))
        _ = try trained.run()
        let first = try run(CompressionRecipe(name: "x", steps: steps), directory: directory)
        #expect(try first.run { if $0.step == 2 { first.stop() } } == nil)
        let second = try run(CompressionRecipe(name: "x", steps: steps), directory: directory)
        let report = try #require(try second.run())
        for run in [first, second] {
            #expect(run.teacher.bits == trained.network.bits && run.teacher.parameters.allSatisfy { $0.mask == nil })
        }
        #expect(report.accuracyBefore == (try evaluate(trained.network.deployed(), LabelledData.digits(.test))))
        #expect(report.parametersBefore == 64 * 40 + 40 * 20 + 20 * 10)
        // The same by hand, with the dense network's soft targets: the same bits.
        let pruned = try run(CompressionRecipe(name: "pruned", steps: Array(steps.prefix(2)))), digits = try LabelledData.digits(.training)
        _ = try pruned.run()
        let loss = try DistillationLoss(
            DistillationConfiguration(temperature: 2, softWeight: 0.9), student: pruned.network, data: digits,
            teachers: [TeacherLogits(of: trained.network, on: digits)])
        _ = try Trainer(pruned.network, data: digits, configuration: Self.quick.configuration(threads: 1), loss: loss).run()
        #expect(second.network.bits == pruned.network.bits)
    }

    @Test func reportsSayWhatIsThere() throws {
        let run = try run(Self.whole), report = try #require(try run.run()), deployed = try #require(run.deployed)
        #expect(report.steps.map(\.step) == ["train", "prune", "removePrunedOutputs", "prune", "distil", "quantize"])
        #expect(report.accuracyBefore > 0.85 && report.accuracyAfter > 0.8, "\(report.accuracyBefore) → \(report.accuracyAfter)")
        #expect(report.accuracyAfter == (try evaluate(deployed, LabelledData.digits(.test))))
        // Units: 40 → 28, 20 → 14; then a quarter of what is left.
        let small = 64 * 28 + 28 * 14 + 14 * 10
        #expect(report.parametersBefore == 64 * 40 + 40 * 20 + 20 * 10 && report.parametersAfter == small - Int((0.75 * Double(small)).rounded()))
        #expect(report.bytesAfter == deployed.byteCount && report.bytesBefore == 4 * (report.parametersBefore + 70))
        #expect(report.layers.map(\.name) == ["fc1", "fc2", "fc3"] && report.multiplyAddsBefore == report.parametersBefore)
        #expect(report.latencies.map(\.batch) == [1, 32] && report.latencies.allSatisfy { $0.p50After > 0 && $0.p99After >= $0.p50After })
        #expect(report.fileBytesAfter * 4 < report.fileBytesBefore && report.modelledMicrojoulesAfter < report.modelledMicrojoulesBefore)
        #expect(try JSONDecoder().decode(CompressionReport.self, from: report.json()) == report)
        for latency in report.latencies {
            let warning = "warning: slower than float32 at batch \(latency.batch): "
            #expect(report.description.contains(warning) == (latency.p50After > latency.p50Before))
        }
        #expect(report.description.contains("modelled"))
    }

    /// Stopped in the middle of each step in turn, run again in a new process' state each time: the same network as without a stop.
    @Test func stoppedRunsGoOnToTheSameNetwork() throws {
        let expected = try run(Self.whole)
        _ = try expected.run()
        let directory = NSTemporaryDirectory() + "recipe-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var stops = 0
        while true {
            let part = try run(Self.whole, directory: directory)
            var trained = 0
            let report = try part.run { progress in
                if progress.training != nil { trained += 1 }
                if trained == 70 { part.stop() }
            }
            if let report {
                #expect(stops >= 4)
                #expect(report.steps.count == 6)
                #expect(part.network.bits == expected.network.bits)
                #expect(part.network.parameters.map(\.mask) == expected.network.parameters.map(\.mask))
                break
            }
            stops += 1
            #expect(stops < 50)
            if stops >= 50 { break }
        }
        var other = Self.whole
        other.steps.removeLast()
        #expect(throws: CompressionError.self) { try run(other, directory: directory) }
        try Data("{".utf8).write(to: URL(fileURLWithPath: directory + "/state.json"))
        #expect(throws: CompressionError.self) { try run(Self.whole, directory: directory) }
    }

    @Test func quantizedTrainingAndRewindingInARecipe() throws {
        let steps: [CompressionStep] = [
            .train(Self.quick), .prune(RecipePruning(PruningConfiguration(sparsity: 0.5, start: .rewound(epoch: 1)), fineTuning: Self.quick)),
            .trainQuantized(RecipeQuantizedTraining(QuantizationConfiguration(format: .integer(.w4a8)), training: Self.quick)),
        ]
        let run = try run(CompressionRecipe(name: "qat", steps: steps)), report = try #require(try run.run())
        #expect(report.accuracyAfter > 0.85 && report.layers.allSatisfy { $0.form == "w4a8-channel" })
        #expect(PruningReport(run.network).kept * 2 == report.parametersBefore)
        // Training may round a weight that the mask keeps to the code 0, which the deployed network does not hold.
        #expect(report.parametersAfter * 2 <= report.parametersBefore && report.parametersAfter * 2 > report.parametersBefore * 19 / 20)
    }
}
