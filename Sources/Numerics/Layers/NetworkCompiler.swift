internal import Synchronization

/// What is timed while a network is compiled.
package enum TimedRun: Hashable {
    case layer(String, WeightFormat)
    case network(isCompiled: Bool)
}

/// Tells how long a run takes; tests have one that knows it beforehand.
package protocol RunTimer {
    /// Calls `body` at least once and returns the seconds of one call.
    mutating func seconds(of run: TimedRun, _ body: () -> Void) -> Double
}

/// Times with a clock that never goes back.
package struct MonotonicTimer: RunTimer {
    private let clock = ContinuousClock()

    package init() {}

    package func seconds(of run: TimedRun, _ body: () -> Void) -> Double {
        // The first call brings data into the caches. Short ones are then repeated, because reading the clock takes a while.
        let first = time(1, body)
        let repeats = max(1, min(1000, Int(50e-6 / max(first, 50e-9))))
        return time(repeats, body) / Double(repeats)
    }

    private func time(_ repeats: Int, _ body: () -> Void) -> Double {
        let duration = clock.measure { for _ in 0..<repeats { body() } }
        return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }
}

/// Measures the candidates of each layer and chooses.
internal struct NetworkCompiler<Timer: RunTimer> {
    let maximumError: Double
    /// For each layer.
    let seconds: Double
    let parallelism: Parallelism
    var timer: Timer

    private static var turns: ClosedRange<Int> { 3...101 }

    mutating func compile<Original: Network & Layer>(
        _ original: Original, _ sample: Matrix, _ candidates: [[WeightFormat]]
    ) throws(NumericsError) -> CompiledNetwork<Original> {
        let (expected, inputs) = try run(original, sample)
        var chosen: [String: any LinearLayer] = [:], choices: [LayerChoice] = []
        for (named, candidates) in zip(original.float32Layers, candidates) {
            guard let linear = named.layer as? Linear, let input = inputs[named.name] else {
                throw .invalidStructure(what: "layer \(named.name)", expected: "inputs for the sample", found: "none")
            }
            let (choice, layer) = try choose(linear, named.name, input, candidates)
            choices.append(choice)
            chosen[named.name] = layer
        }
        let network = try rebuilt(original, chosen)
        // Layers that win alone may lose together, as when the weights of all no longer fit into a cache that those of one did.
        let times = medians([(.network(isCompiled: false), original), (.network(isCompiled: true), network)], sample)
        if times[1] >= times[0] || choices.allSatisfy({ $0.format == .float32 }) {
            return CompiledNetwork(
                network: original, choices: choices.map(\.inFloat32), seconds: times[0], float32Seconds: times[0], relativeError: 0)
        }
        let error = relativeRMS(of: network(sample, parallelism: parallelism), against: expected)
        return CompiledNetwork(network: network, choices: choices, seconds: times[1], float32Seconds: times[0], relativeError: error)
    }

    /// Outputs for the sample, and the inputs of all linear layers by name.
    private func run<Original: Network & Layer>(
        _ original: Original, _ sample: Matrix
    ) throws(NumericsError) -> (outputs: Matrix, inputs: [String: Matrix]) {
        let inputs = Mutex<[String: Matrix]>([:])
        var outputs = sample
        try NumericsError.passing {
            try original.observingInputs { name, input in
                inputs.withLock { inputs in if inputs[name] == nil { inputs[name] = input } }
            } while: {
                outputs = $0(sample, parallelism: parallelism)
            }
        }
        let found = inputs.withLock { $0 }
        for named in original.linearLayers {
            guard let at = found[named.name]?.firstNonFinite else { continue }
            throw .notFinite(what: "inputs of layer \(named.name) for the sample", row: at.row, column: at.column)
        }
        if let at = outputs.firstNonFinite { throw .notFinite(what: "outputs for the sample", row: at.row, column: at.column) }
        return (outputs, found)
    }

    private func rebuilt<Original: Network & Layer>(
        _ original: Original, _ chosen: [String: any LinearLayer]
    ) throws(NumericsError) -> Original {
        try NumericsError.passing { try original.replacingLinearLayers { chosen[$0.name] ?? $0.layer } }
    }

    private mutating func choose(
        _ linear: Linear, _ name: String, _ input: Matrix, _ candidates: [WeightFormat]
    ) throws(NumericsError) -> (LayerChoice, any LinearLayer) {
        let expected = linear(input, parallelism: parallelism)
        var tried: [(format: WeightFormat, layer: any LinearLayer)] = [(.float32, linear)]
        var unsuited: [(format: WeightFormat, reason: NumericsError)] = []
        for format in candidates + Self.fittingNOfM(linear, candidates) where !tried.contains(where: { $0.format == format }) {
            do {
                tried.append((format, try format.layer(linear, rows: input.rows)))
            } catch {
                if case .notFinite = error { throw error }
                unsuited.append((format, error))
            }
        }
        let times = medians(tried.map { (.layer(name, $0.format), $0.layer) }, input)
        let figures = zip(tried, times).map { candidate, time in
            FormatFigures(
                format: candidate.format, seconds: time, byteCount: candidate.layer.byteCount,
                relativeError: candidate.format == .float32
                    ? 0 : relativeRMS(of: candidate.layer(input, parallelism: parallelism), against: expected))
        }
        // Of equally fast ones the first, which is float32 if it is among them.
        let allowed = figures.indices.filter { figures[$0].relativeError.isFinite && figures[$0].relativeError <= maximumError }
        let chosen = allowed.min { figures[$0].seconds < figures[$1].seconds } ?? 0
        let choice = LayerChoice(
            layer: name, inputs: linear.inputs, outputs: linear.outputs, rows: input.rows, figures: figures, unsuited: unsuited, chosen: chosen,
            maximumError: maximumError)
        return (choice, tried[chosen].layer)
    }

    /// The N:M formats whose zeros the weights have already, so that none is pruned: with float32 values, which lose nothing, and with int8 ones
    /// where a candidate rounds activations too. Of rows shorter than a group the zeros say nothing.
    private static func fittingNOfM(_ linear: Linear, _ candidates: [WeightFormat]) -> [WeightFormat] {
        let mask = WeightMask(nonzerosOf: linear.weight)
        let fitting = NMSparsity.all.filter { linear.inputs >= $0.group && $0.firstCrowdedGroup(of: mask) == nil }
        let values: [SparseValues] = candidates.contains(where: \.roundsActivations) ? [.float32, .int8] : [.float32]
        return fitting.flatMap { sparsity in values.map { .nOfM(sparsity, $0) } }
    }

    /// Median seconds of each layer, run in turn (A B A B), until the time is spent.
    private mutating func medians(_ runs: [(run: TimedRun, layer: any Layer)], _ input: Matrix) -> [Double] {
        var samples = Array(repeating: [Double](), count: runs.count), spent = 0.0
        var workspace = Workspace()
        let parallelism = parallelism
        var outputs = runs.map { Matrix(rows: input.rows, columns: $0.layer.outputCount(inputs: input.columns)) }
        for turn in 1...Self.turns.upperBound where turn <= Self.turns.lowerBound || spent < seconds {
            for (index, run) in runs.enumerated() {
                let time = timer.seconds(of: run.run) {
                    run.layer.apply(input, into: &outputs[index], workspace: &workspace, parallelism: parallelism)
                }
                samples[index].append(time)
                // The run that warms the caches counts too.
                spent += 2 * time
            }
        }
        return samples.map(median)
    }
}

/// The middle of numbers in order, or the mean of the two in the middle; of at least one number.
private func median(_ numbers: [Double]) -> Double {
    let sorted = numbers.sorted(), middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// √(Σ(y − y₀)² / Σy₀²); 0 for equal matrices, also if all is zero.
private func relativeRMS(of matrix: Matrix, against exact: Matrix) -> Double {
    matrix.withUnsafeBufferPointer { y in
        exact.withUnsafeBufferPointer { y0 in
            guard let y = y.baseAddress, let y0 = y0.baseAddress else { return 0 }
            var power = 0.0, noise = 0.0, index = 0
            while index < matrix.count {
                let expected = Double(y0[index]), difference = Double(y[index]) - expected
                power += expected * expected
                noise += difference * difference
                index &+= 1
            }
            return noise == 0 ? 0 : (noise / power).squareRoot()
        }
    }
}

extension NumericsError {
    /// The result of `body`, whose errors are of this type unless a network of a user throws others.
    internal static func passing<Result>(_ body: () throws -> Result) throws(NumericsError) -> Result {
        do {
            return try body()
        } catch let error as NumericsError {
            throw error
        } catch {
            throw .invalidStructure(what: "network", expected: "one that can be rebuilt", found: "\(error)")
        }
    }
}
