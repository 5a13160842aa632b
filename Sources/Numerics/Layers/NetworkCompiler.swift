/// What is timed while a network is compiled.
package enum TimedRun: Hashable {
    case layer(Int, LayerFormat)
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

    mutating func compile(
        _ original: Sequential, _ sample: Matrix, _ candidates: [[LayerFormat]]
    ) throws(NumericsError) -> CompiledNetwork {
        var layers: [any Layer] = [], choices: [LayerChoice] = [], activations = sample
        for (index, layer) in original.layers.enumerated() {
            let outputs = layer(activations, parallelism: parallelism)
            if let at = outputs.firstNonFinite { throw .notFinite(what: "outputs of layer \(index) for the sample", row: at.row, column: at.column) }
            if let linear = layer as? Linear {
                let (choice, chosen) = try choose(linear, index, activations, outputs, candidates[choices.count])
                layers.append(chosen)
                choices.append(choice)
            } else {
                layers.append(layer)
            }
            activations = outputs
        }
        let network = try Sequential(layers)
        // Layers that win alone may lose together, as when the weights of all no longer fit into a cache that those of one did.
        let times = medians([(.network(isCompiled: false), original), (.network(isCompiled: true), network)], sample)
        if times[1] >= times[0] || choices.allSatisfy({ $0.format == .float32 }) {
            return CompiledNetwork(
                network: original, choices: choices.map(\.inFloat32), seconds: times[0], float32Seconds: times[0], relativeError: 0)
        }
        let error = relativeRMS(of: network(sample, parallelism: parallelism), against: activations)
        return CompiledNetwork(network: network, choices: choices, seconds: times[1], float32Seconds: times[0], relativeError: error)
    }

    private mutating func choose(
        _ linear: Linear, _ index: Int, _ input: Matrix, _ expected: Matrix, _ candidates: [LayerFormat]
    ) throws(NumericsError) -> (LayerChoice, any LinearLayer) {
        var tried: [(format: LayerFormat, layer: any LinearLayer)] = [(.float32, linear)]
        var unsuited: [(format: LayerFormat, reason: NumericsError)] = []
        for format in candidates where !tried.contains(where: { $0.format == format }) {
            do {
                tried.append((format, try format.layer(linear, rows: input.rows)))
            } catch {
                if case .notFinite = error { throw error }
                unsuited.append((format, error))
            }
        }
        let times = medians(tried.map { (.layer(index, $0.format), $0.layer) }, input)
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
            layer: index, inputs: linear.inputs, outputs: linear.outputs, rows: input.rows, figures: figures, unsuited: unsuited, chosen: chosen)
        return (choice, tried[chosen].layer)
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
