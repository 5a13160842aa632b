import CompactNumerics
import Foundation
import Testing

@testable import ModelCompression

/// Whatever is asked for, a path of kept weights stays; where that does not matter, counts are exact.
@Suite struct PruningFloorTests {
    private static let scores: [PruningScore] = [
        .magnitudeL1, .magnitudeL2, .random(seed: 3), .gradientTimesWeight, .taylor, .activationTimesWeight, .secondOrderDiagonal,
        .secondOrderCorrected,
    ]
    private static let sparsities = [0.5, 0.9, 0.99, 1]

    // Layers of few and of many inputs, so that one scope for all empties some.
    private func narrow() throws -> TrainableNetwork { try Small.mlp([16, 64, 4, 8, 4]) }

    private func expectConnected(_ network: TrainableNetwork, _ what: String, sourceLocation: SourceLocation = #_sourceLocation) {
        for layer in PruningReport(network).layers {
            #expect(layer.kept >= 1 && layer.keptOutputs >= 1, "\(what): \(layer.name)", sourceLocation: sourceLocation)
        }
        // With ones for all that masks keep, outputs are positive where a path leads there.
        let copy = network.copy()
        for layer in copy.layers {
            if let layer = layer as? any WeightedLayer {
                layer.weight.value.fill(1)
                layer.bias?.value.fill(0)
            } else if let layer = layer as? BatchNormLayer {
                for (tensor, value) in [(layer.gamma.value, Float(1)), (layer.beta.value, 0), (layer.runningMean, 0), (layer.runningVariance, 1)] {
                    tensor.fill(value)
                }
            }
        }
        for parameter in copy.parameters { parameter.applyMask() }
        let outputs = copy.predict(Matrix(rows: 1, columns: copy.inputShape.count) { _, _ in 1 })
        #expect((0..<outputs.columns).contains { outputs[0, $0] > 0 }, "\(what): no path", sourceLocation: sourceLocation)
    }

    private func groups(_ mask: [UInt8], _ layer: any WeightedLayer, _ granularity: PruningGranularity) -> [Bool] {
        let columns = layer.weight.value.columns, rows = layer.weight.value.rows
        var (r, c) = (1, 1)
        if case .blocks(let rows, let columns) = granularity { (r, c) = (rows, columns) }
        if granularity.isStructured { c = columns }
        return (0..<rows / r * (columns / c)).map { group in
            let (top, left) = (group / (columns / c) * r, group % (columns / c) * c)
            return (0..<r * c).contains { mask[(top + $0 / c) * columns + left + $0 % c] != 0 }
        }
    }

    private func expectCounts(_ network: TrainableNetwork, _ configuration: PruningConfiguration, _ what: String) throws {
        let pruned = try configuration.layers(of: network)
        let kept = pruned.map { groups(network.mask($0.name), $0, configuration.granularity) }
        func left(_ count: Int) -> Int { count - Int((Double(count) * configuration.sparsity).rounded()) }
        if case .nOfM(let keep, let group) = configuration.granularity {
            for groups in kept {
                for start in stride(from: 0, to: groups.count, by: group) { #expect(groups[start..<start + group].count { $0 } == keep, "\(what)") }
            }
        } else if configuration.effectiveScope == .global {
            let all = kept.joined()
            #expect(all.count { $0 } == max(left(all.count), pruned.count), "\(what)")
        } else {
            for (layer, groups) in zip(pruned, kept) {
                let rows = configuration.effectiveScope == .output ? layer.weight.value.rows : 1
                #expect(groups.count { $0 } == max(rows * left(groups.count / rows), 1), "\(what): \(layer.name)")
            }
        }
    }

    private func check(_ make: () throws -> TrainableNetwork, _ data: LabelledData, _ granularities: [PruningGranularity], _ score: PruningScore)
        throws
    {
        for granularity in granularities {
            for scope in [nil] + PruningScope.allCases.map(Optional.some) where scope != .output || granularity.fitsOutput {
                if granularity.isNOfM && scope != nil { continue }  // refused
                for sparsity in Self.sparsities {
                    var sparsity = sparsity
                    if case .nOfM(let keep, let group) = granularity { sparsity = 1 - Double(keep) / Double(group) }
                    let network = try make()
                    let configuration = PruningConfiguration(
                        sparsity: sparsity, score: score, granularity: granularity, scope: scope, scoreBatchSize: 7, scoreSamples: 20)
                    let report = try Pruner(network, configuration: configuration, data: data).prune()
                    let what = "\(score), \(granularity), \(String(describing: scope)), \(sparsity)"
                    expectConnected(network, what)
                    try expectCounts(network, configuration, what)
                    for layer in report.layers {
                        let isLittle = layer.kept * 100 < layer.weights || layer.keptOutputs * 100 < layer.outputs || layer.keptOutputs == 1
                        #expect(report.warnings.contains { $0.contains("layer \(layer.name) keeps") } == isLittle, "\(what): \(report)")
                    }
                }
            }
        }
    }

    @Test(arguments: scores) func narrowNetworksStayConnected(_ score: PruningScore) throws {
        let data = try Small.data(20, shape: SampleShape(16))
        try check(
            narrow, data, [.weights, .blocks(rows: 4, columns: 2), .blocks(rows: 1, columns: 4), .nOfM(keep: 1, of: 4), .units], score)
    }

    @Test(arguments: scores) func convolutionalNetworksStayConnected(_ score: PruningScore) throws {
        let data = try Small.data(20, shape: SampleShape(height: 12, width: 12, channels: 2))
        try check({ try Small.lenet5() }, data, [.weights, .blocks(rows: 2, columns: 2), .nOfM(keep: 1, of: 2), .units, .channels], score)
    }

    @Test(arguments: [PruningSchedule.linear(), .cubic(), .iterative(rounds: 3)], [PruningGranularity.weights, .units])
    func everyScheduleStaysConnected(_ schedule: PruningSchedule, _ granularity: PruningGranularity) throws {
        for sparsity in [0.9, 0.995, 1] {
            let network = try narrow()
            let configuration = PruningConfiguration(sparsity: sparsity, granularity: granularity, scope: .global, schedule: schedule)
            let pruner = try Pruner(network, configuration: configuration)
            for round in 1...3 {
                let before = network.weightedLayers.map { network.mask($0.name) }
                try pruner.prune(progress: Double(round) / 3)
                expectConnected(network, "\(schedule), \(granularity), \(sparsity), round \(round)")
                for (layer, mask) in zip(network.weightedLayers, before) {
                    #expect(zip(network.mask(layer.name), mask).allSatisfy { $0 <= $1 })
                }
            }
        }
    }

    /// Single weights first, so that the units that score best may have lost their outlet, then units.
    @Test(arguments: 0..<20) func unitsBehindPrunedWeightsStayConnected(seed: UInt64) throws {
        let network = try TrainableNetwork.mlp([8, 12, 12, 4], seed: seed)
        let weights = PruningConfiguration(sparsity: 0.93, score: .random(seed: seed), scope: .global)
        try Pruner(network, configuration: weights).prune()
        expectConnected(network, "weights, seed \(seed)")
        for sparsity in [0.5, 0.8, 1] {
            try Pruner(network, configuration: PruningConfiguration(sparsity: sparsity, granularity: .units, scope: .layer)).prune()
            expectConnected(network, "units \(sparsity), seed \(seed)")
        }
        let inputs = try Small.inputs(5, 8)
        expectClose(try network.removingPrunedOutputs().predict(inputs), network.predict(inputs))
    }

    /// Where masks have cut everything before, layers that have weights keep some; there is nothing to connect.
    @Test func layersOfACutNetworkKeepTheirBest() throws {
        let network = try Small.mlp([6, 8, 4])
        network.weighted("fc1").weight.mask = [UInt8](repeating: 0, count: 48)
        let weight = network.weighted("fc2").weight, best = weight.value.elements.map { abs($0) }
        let report = try Pruner(network, configuration: PruningConfiguration(sparsity: 1)).prune()
        #expect(report.layers.map(\.kept) == [0, 1] && weight.mask?.firstIndex(of: 1) == best.firstIndex(of: best.max()!))
        #expect(report.warnings.count == 2)
    }

    /// From the outputs to the inputs, the best of each layer that leads on.
    @Test(arguments: 0..<5) func thePathGoesAlongTheBest(seed: UInt64) throws {
        let network = try TrainableNetwork.mlp([6, 9, 7, 4], seed: seed), weights = network.weightedLayers.map(\.weight.value)
        func best(_ values: [(Float, Int)]) -> Int { values.max { $0.0 < $1.0 }!.1 }
        var expected: [Int] = []
        var output: Int?
        for weight in weights.reversed() {
            let places = (0..<weight.count).filter { output == nil || $0 / weight.columns == output }
            expected.insert(best(places.map { (abs(weight.pointer[$0]), $0) }), at: 0)
            output = expected[0] % weight.columns
        }
        let norms = weights.map { weight in
            (0..<weight.rows).map { row in (0..<weight.columns).reduce(Float(0)) { $0 + weight[row, $1] * weight[row, $1] } }
        }
        let units = network.copy()
        try Pruner(network, configuration: PruningConfiguration(sparsity: 1)).prune()
        #expect(
            network.weightedLayers.map { layer in network.mask(layer.name).indices.filter { network.mask(layer.name)[$0] == 1 } }
                == expected.map { [$0] })
        try Pruner(units, configuration: PruningConfiguration(sparsity: 1, score: .magnitudeL2, granularity: .units)).prune()
        for (name, norms) in [("fc1", norms[0]), ("fc2", norms[1])] {
            #expect(units.weighted(name).bias?.mask?.firstIndex(of: 1) == best(norms.enumerated().map { ($1, $0) }), "\(name)")
        }
    }

    @Test func aLayerWithASparsityOfItsOwnKeepsAPath() throws {
        let network = try Small.mlp([6, 8, 4])
        let report = try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, layerSparsity: ["fc2": 1])).prune()
        #expect(report.layers.map(\.kept) == [24, 1])
        expectConnected(network, "fc2 100 %")
    }

    // MARK: - Default scopes

    @Test func scopesSuitTheirScores() {
        func scope(_ score: PruningScore, _ granularity: PruningGranularity) -> PruningScope {
            PruningConfiguration(sparsity: 0.5, score: score, granularity: granularity).effectiveScope
        }
        for score in [PruningScore.gradientTimesWeight, .taylor, .secondOrderDiagonal] {
            #expect([.weights, .blocks(rows: 4, columns: 1), .units].map { scope(score, $0) } == [.global, .global, .global])
        }
        for score in [PruningScore.magnitudeL1, .magnitudeL2] {
            #expect([.weights, .blocks(rows: 4, columns: 1), .units, .channels].map { scope(score, $0) } == [.global, .global, .layer, .layer])
        }
        for score in [PruningScore.random(seed: 1), .secondOrderCorrected] {
            #expect(scope(score, .weights) == .layer && scope(score, .units) == .layer)
        }
        #expect(scope(.activationTimesWeight, .weights) == .output && scope(.activationTimesWeight, .blocks(rows: 1, columns: 4)) == .output)
        #expect(scope(.activationTimesWeight, .blocks(rows: 4, columns: 1)) == .layer && scope(.activationTimesWeight, .units) == .layer)
        #expect(PruningConfiguration(sparsity: 0.5, score: .secondOrderCorrected, scope: .global).effectiveScope == .global)
    }

    /// Scaling one layer by 100 changes no choice of scores whose scope is smaller than the network.
    @Test(arguments: [PruningScore.activationTimesWeight, .secondOrderCorrected]) func unlikeLayersDoNotCompete(_ score: PruningScore) throws {
        let data = try Small.data(20, shape: SampleShape(16))
        func report(scale: Float) throws -> [Int] {
            let network = try Small.mlp([16, 32, 8, 4]), weight = network.weighted("fc2").weight.value
            for index in 0..<weight.count { weight.pointer[index] *= scale }
            return try Pruner(network, configuration: PruningConfiguration(ratio: 12, score: score), data: data).prune().layers.map(\.kept)
        }
        #expect(try report(scale: 100) == report(scale: 1))
    }

    // MARK: - Words

    @Test func reportsOfEarlierVersionsAndWarnings() throws {
        let old = Data(#"{"layers":[{"name":"fc1","weights":100,"kept":40},{"name":"fc2","weights":8192,"kept":0}]}"#.utf8)
        let report = try JSONDecoder().decode(PruningReport.self, from: old)
        #expect(report.layers[0].outputs == 0 && report.warnings == ["layer fc2 keeps 0 of 8192 weights (0.00 %)"])
        #expect("\(report)" == "fc1 40 of 100, fc2 0 of 8192; 40 of 8292 weights; warning: layer fc2 keeps 0 of 8192 weights (0.00 %)")
        #expect(report.warnings(below: 0.5).count == 2)
        #expect(try JSONDecoder().decode(PruningReport.self, from: JSONEncoder().encode(report)) == report)
        let record = Data(#"{"step":"prune","accuracyBefore":0.9,"accuracyAfter":0.8,"keptWeights":7,"seconds":1.5}"#.utf8)
        #expect(try JSONDecoder().decode(StepRecord.self, from: record).warnings.isEmpty)
    }

    @Test func scopesInJSON() throws {
        func scope(_ options: String) throws -> PruningScope? {
            let recipe = try CompressionRecipe(json: Data(#"{"steps": [{"prune": {"sparsity": 0.5\#(options)}}]}"#.utf8))
            guard case .prune(let step) = recipe.steps[0] else { return nil }
            #expect(try CompressionRecipe(json: recipe.json()) == recipe)
            return step.pruning.scope
        }
        #expect(try scope("") == nil)
        for one in PruningScope.allCases { #expect(try scope(#", "scope": "\#(one.rawValue)""#) == one) }
        // A configuration as earlier versions wrote it, and a checkpoint of theirs.
        let implicit = PruningConfiguration(sparsity: 0.5), explicit = PruningConfiguration(sparsity: 0.5, scope: .global)
        #expect(try JSONDecoder().decode(PruningConfiguration.self, from: JSONEncoder().encode(explicit)).scope == .global)
        #expect(try JSONDecoder().decode(PruningConfiguration.self, from: JSONEncoder().encode(implicit)).scope == nil)
        let state = try #require(PruningHook(Pruner(Small.mlp(), configuration: explicit)).checkpointState)
        try PruningHook(Pruner(Small.mlp(), configuration: implicit)).restore(checkpointState: state)
        #expect(throws: CompressionError.self) {
            try PruningHook(Pruner(Small.mlp(), configuration: PruningConfiguration(sparsity: 0.5, scope: .layer))).restore(checkpointState: state)
        }
    }

    /// The cases that were found: a narrow layer behind a wide one, units of one scope; second order at 12 ×.
    @Test func narrowLayersOnDigits() throws {
        let training = try LabelledData.digits(.training), test = try LabelledData.digits(.test)
        let network = try TrainableNetwork.mlp([64, 256, 32, 10], seed: 1)
        _ = try Trainer(network, data: training, configuration: TrainerConfiguration(epochs: 12, batchSize: 32)).run()
        let fineTuning = TrainerConfiguration(epochs: 24, batchSize: 32)
        func prune(_ configuration: PruningConfiguration) throws -> (accuracy: Double, warnings: [String], seen: Set<[String]>) {
            let network = network.copy()
            var seen: Set<[String]> = []
            let result = try Pruner(network, configuration: configuration, data: training).run(training: training, fineTuning: fineTuning) {
                seen.insert($0.warnings)
            }
            let accuracy = try evaluate(network, test)
            print("digits, \(configuration.score), \(configuration.granularity), \(configuration.effectiveScope): \(accuracy); \(result.report)")
            return (accuracy, result.report.warnings, seen)
        }
        let layer = try prune(PruningConfiguration(sparsity: 0.5, granularity: .units))
        #expect(layer.accuracy > 0.9 && layer.warnings.isEmpty && layer.seen == [[]])
        // One of 32 units stays, and is told of.
        let global = try prune(PruningConfiguration(sparsity: 0.5, granularity: .units, scope: .global))
        #expect(global.warnings.contains { $0.contains("fc2") } && global.seen == [global.warnings])
        for score in [PruningScore.secondOrderCorrected, .secondOrderDiagonal, .activationTimesWeight] {
            #expect(try prune(PruningConfiguration(ratio: 12, score: score)).accuracy > 0.83, "\(score)")
        }
    }
}
