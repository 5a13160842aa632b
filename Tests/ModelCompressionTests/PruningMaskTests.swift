import CompactNumerics
import CTraining
import Foundation
import ModelCompression
import Testing

@Suite struct PruningMaskTests {
    @Test(arguments: [0.1, 0.5, 0.8]) func globalMagnitudeEqualsSorting(_ sparsity: Double) throws {
        let network = try Small.mlp()
        let scores = network.weightedLayers.flatMap { $0.weight.value.elements.map { Double(abs($0)) } }
        let expected = naiveKeep(scores, prune: Int((Double(scores.count) * sparsity).rounded()))
        let report = try Pruner(network, configuration: PruningConfiguration(sparsity: sparsity)).prune()
        #expect(network.mask("fc1") + network.mask("fc2") == expected)
        #expect(report.kept == expected.count { $0 == 1 } && report.weights == 80)
        #expect(report.ratio == 80 / Double(report.kept))
    }

    @Test func layersAndOutputsCountExactly() throws {
        for scope in [PruningScope.layer, .output] {
            let network = try Small.mlp()
            let weights = network.weightedLayers.map(\.weight.value.elements)
            try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, score: .magnitudeL2, scope: scope)).prune()
            for (layer, values) in zip(network.weightedLayers, weights) {
                let size = scope == .layer ? values.count : layer.weight.value.columns
                let expected = stride(from: 0, to: values.count, by: size).flatMap { start in
                    naiveKeep(values[start..<start + size].map { Double($0 * $0) }, prune: size / 2)
                }
                #expect(network.mask(layer.name) == expected)
            }
        }
    }

    @Test func ofEqualScoresTheFirstStay() throws {
        let network = try Small.mlp()
        for layer in network.weightedLayers { layer.weight.value.fill(0.5) }
        try Pruner(network, configuration: PruningConfiguration(sparsity: 0.3)).prune()
        #expect(network.mask("fc1") + network.mask("fc2") == (0..<80).map { $0 < 56 ? 1 : 0 })
    }

    @Test func selectionEqualsSortingOnManyTies() {
        var generator = SeededGenerator(seed: 3)
        for count in [1, 2, 3, 10, 101, 1000] {
            for distinct in [1, 2, 7, 100_000] {
                let scores = (0..<count).map { _ in Double(generator.next() % UInt64(distinct)) }
                for prune in Set([0, 1, count / 3, count / 2, count - 1, count]) {
                    var keep = [UInt8](repeating: 9, count: count), scratch = [Double](repeating: 0, count: count)
                    ck_prune_smallest_f64(scores, count, prune, &scratch, &keep)
                    #expect(keep == naiveKeep(scores, prune: prune), "\(count), \(distinct), \(prune)")
                }
            }
        }
    }

    @Test func blocksAreRankedByTheirMeans() throws {
        let network = try Small.mlp([6, 8, 4])
        let weight = network.weighted("fc1").weight.value
        var norms: [Double] = []
        for strip in 0..<2 {
            for block in 0..<3 {
                var sum = 0.0
                for i in 0..<8 { sum += Double(abs(weight[strip * 4 + i / 2, block * 2 + i % 2])) }
                norms.append(sum / 8)
            }
        }
        let configuration = PruningConfiguration(sparsity: 0.5, granularity: .blocks(rows: 4, columns: 2), excludedLayers: ["fc2"])
        try Pruner(network, configuration: configuration).prune()
        let keep = naiveKeep(norms, prune: 3)
        let expected = (0..<48).map { (place: Int) -> UInt8 in keep[place / 24 * 3 + place % 6 / 2] }
        #expect(network.mask("fc1") == expected)
        #expect(network.weighted("fc2").weight.mask == nil)
    }

    @Test func nOfMKeepsTheLargestOfEachGroup() throws {
        let network = try Small.mlp([8, 6, 4])
        let values = network.weighted("fc1").weight.value.elements
        let configuration = PruningConfiguration(sparsity: 0.5, granularity: .nOfM(keep: 2, of: 4), excludedLayers: ["fc2"])
        try Pruner(network, configuration: configuration).prune()
        let expected = stride(from: 0, to: 48, by: 4).flatMap { naiveKeep(values[$0..<$0 + 4].map { Double(abs($0)) }, prune: 2) }
        #expect(network.mask("fc1") == expected)
    }

    @Test func unitsTakeTheirBiasAndTheNextColumns() throws {
        let network = try Small.mlp([6, 8, 4])
        let weight = network.weighted("fc1").weight.value
        let norms = (0..<8).map { row in (0..<6).reduce(0.0) { $0 + Double(weight[row, $1] * weight[row, $1]) } / 6 }
        let keep = naiveKeep(norms, prune: 3)
        let report = try Pruner(
            network, configuration: PruningConfiguration(sparsity: 0.375, score: .magnitudeL2, granularity: .units)
        ).prune()
        #expect(network.mask("fc1") == (0..<48).map { keep[$0 / 6] })
        #expect(network.weighted("fc1").bias?.mask == keep)
        #expect(network.mask("fc2") == (0..<32).map { keep[$0 % 8] })
        #expect(report.kept == 5 * 6 + 5 * 4)
    }

    @Test func overridesAndExclusions() throws {
        let network = try Small.mlp([6, 8, 4, 4])
        let configuration = PruningConfiguration(sparsity: 0.5, layerSparsity: ["fc1": 0.25], excludedLayers: ["fc3"])
        let report = try Pruner(network, configuration: configuration).prune()
        #expect(report.layers.map(\.kept) == [36, 16, 16])
    }

    @Test func whatIsPrunedStaysPruned() throws {
        let network = try Small.mlp()
        let pruner = try Pruner(
            network, configuration: PruningConfiguration(sparsity: 0.8, score: .random(seed: 5), scope: .global, schedule: .iterative(rounds: 4)))
        var before = network.mask("fc1") + network.mask("fc2")
        for round in 1...4 {
            let report = try pruner.prune(progress: Double(round) / 4)
            let now = network.mask("fc1") + network.mask("fc2")
            #expect(zip(before, now).allSatisfy { $0 >= $1 })
            #expect(report.kept == 80 - Int((80 * (1 - pow(0.2, Double(round) / 4))).rounded()))
            before = now
        }
    }

    /// What is pruned goes before everything else, whatever it scores: counts are those of all weights.
    @Test(arguments: [PruningGranularity.weights, .blocks(rows: 2, columns: 2), .nOfM(keep: 1, of: 2)])
    func prunedGroupsGoFirst(_ granularity: PruningGranularity) throws {
        let network = try Small.mlp([8, 8, 4]), weight = network.weighted("fc1").weight
        // Of each 2×2 block and each pair in columns 4… nothing is left.
        weight.mask = (0..<64).map { $0 % 8 < 4 ? 1 : 0 }
        let configuration = PruningConfiguration(
            sparsity: 0.5, score: .random(seed: 2), granularity: granularity, scope: granularity == .nOfM(keep: 1, of: 2) ? nil : .layer,
            excludedLayers: ["fc2"])
        try Pruner(network, configuration: configuration).prune()
        if case .nOfM = granularity {
            #expect(network.mask("fc1").enumerated().allSatisfy { $1 == 0 || $0 % 8 < 4 } && weight.activeCount == 16)
        } else {
            #expect(network.mask("fc1") == (0..<64).map { $0 % 8 < 4 ? 1 : 0 })
        }
    }

    @Test func randomScoresDependOnTheSeedAlone() throws {
        func mask(_ seed: UInt64) throws -> [UInt8] {
            let network = try Small.mlp()
            try Pruner(network, configuration: PruningConfiguration(sparsity: 0.5, score: .random(seed: seed))).prune()
            return network.mask("fc1")
        }
        #expect(try mask(1) == mask(1))
        #expect(try mask(1) != mask(2))
    }

    @Test func wrongChoicesAreTypedErrors() throws {
        let network = try Small.mlp([6, 8, 4])
        func fails(_ configuration: PruningConfiguration, _ what: String, sourceLocation: SourceLocation = #_sourceLocation) {
            let error = #expect(throws: CompressionError.self, sourceLocation: sourceLocation) { try Pruner(network, configuration: configuration) }
            #expect(error.map { "\($0)".contains(what) } == true, "\(String(describing: error))", sourceLocation: sourceLocation)
        }
        fails(PruningConfiguration(sparsity: 0), "0.0 %")
        fails(PruningConfiguration(sparsity: 1.01), "101.0 %")
        fails(PruningConfiguration(sparsity: .nan), "nan")
        fails(PruningConfiguration(sparsity: 0.5, layerSparsity: ["fc1": 0]), "fc1")
        fails(PruningConfiguration(sparsity: 0.5, layerSparsity: ["fc9": 0.5]), "fc9")
        fails(PruningConfiguration(sparsity: 0.5, excludedLayers: ["conv"]), "conv")
        fails(PruningConfiguration(sparsity: 0.5, excludedLayers: ["fc1", "fc2"]), "at least one")
        fails(PruningConfiguration(sparsity: 0.5, granularity: .channels), "at least one")
        fails(PruningConfiguration(sparsity: 0.5, granularity: .units, excludedLayers: ["fc1"]), "at least one")
        fails(PruningConfiguration(sparsity: 0.5, granularity: .blocks(rows: 4, columns: 4)), "fc1")
        fails(PruningConfiguration(sparsity: 0.5, granularity: .blocks(rows: 0, columns: 4)), "0×4")
        fails(PruningConfiguration(sparsity: 0.5, granularity: .nOfM(keep: 2, of: 4)), "fc1")
        fails(PruningConfiguration(sparsity: 0.4, granularity: .nOfM(keep: 1, of: 2)), "50.0 %")
        fails(PruningConfiguration(sparsity: 0.5, granularity: .nOfM(keep: 1, of: 2), scope: .layer), "scope of 1:2")
        fails(PruningConfiguration(sparsity: 1, granularity: .nOfM(keep: 0, of: 2)), "1 ≤ N < M")
        fails(PruningConfiguration(sparsity: 0.5, score: .taylor), "samples")
        fails(PruningConfiguration(sparsity: 0.5, schedule: .iterative(rounds: 0)), "rounds")
        fails(PruningConfiguration(sparsity: 0.5, schedule: .cubic(begin: 0.5, end: 0.2)), "begin")
        fails(PruningConfiguration(sparsity: 0.5, granularity: .units, scope: .output), "scope")
    }

    @Test func configurationsSurviveJSON() throws {
        var configuration = PruningConfiguration(
            sparsity: 0.75, score: .random(seed: 4), granularity: .nOfM(keep: 1, of: 4), scope: .layer,
            schedule: .cubic(begin: 0.1, end: 0.6, every: 7),
            excludedLayers: ["fc3"], start: .rewound(epoch: 2))
        for granularity in [PruningGranularity.nOfM(keep: 1, of: 4), .weights, .units, .channels, .blocks(rows: 4, columns: 1)] {
            configuration.granularity = granularity
            let data = try JSONEncoder().encode(configuration)
            #expect(try JSONDecoder().decode(PruningConfiguration.self, from: data) == configuration)
        }
    }
}
