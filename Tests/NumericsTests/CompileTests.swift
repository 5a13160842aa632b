import CompactNumerics
import Testing

/// Times that a test decides: the seconds of each run, in turn, the last ones again and again.
private final class ScriptedTimer: RunTimer {
    private let script: [TimedRun: [Double]]
    private(set) var calls: [TimedRun] = []

    init(_ script: [TimedRun: [Double]]) {
        self.script = script
    }

    func seconds(of run: TimedRun, _ body: () -> Void) -> Double {
        body()
        let times = script[run] ?? [1e-3], turn = calls.count { $0 == run }
        calls.append(run)
        return times[min(turn, times.count - 1)]
    }
}

@Suite struct CompileTests {
    private let csr = WeightFormat.sparse(.single), w8a8 = WeightFormat.integer(.w8a8)

    /// 32-24-24-8, half of the weights zero, in runs of five that fit no N:M.
    private func network(_ generator: inout SeededGenerator) throws -> Sequential {
        let widths = [32, 24, 24, 8]
        return try Sequential(
            zip(widths, widths.dropFirst()).map { inputs, outputs in
                let weight = generator.matrix(outputs, inputs)
                let half = Matrix(rows: outputs, columns: inputs) { ($0 + $1 / 5) % 2 == 0 ? weight[$0, $1] : 0 }
                return try Linear(weight: half, bias: generator.numbers(outputs), activation: outputs == 8 ? .none : .relu)
            })
    }

    private func compiled(
        _ network: Sequential, _ sample: Matrix, _ candidates: [WeightFormat], maximumError: Double = .infinity, seconds: Double = 1e-6,
        _ timer: ScriptedTimer
    ) throws -> CompiledNetwork<Sequential> {
        try network.compiled(
            for: sample, candidatesOfLayers: Array(repeating: candidates, count: 3), maximumError: maximumError, seconds: seconds,
            parallelism: .serial, timer: timer)
    }

    @Test func theFastestOfEachLayerIsChosen() throws {
        var generator = SeededGenerator()
        let original = try network(&generator), x = generator.matrix(5, 32)
        let timer = ScriptedTimer([
            .layer("0", .float32): [4e-6], .layer("0", csr): [1e-6], .layer("0", w8a8): [2e-6],
            .layer("1", .float32): [3e-6], .layer("1", csr): [3e-6], .layer("1", w8a8): [9e-6],  // a tie stays float32
            .layer("2", .float32): [8e-6], .layer("2", csr): [7e-6], .layer("2", w8a8): [100e-6, 2e-6, 2e-6],  // the median is 2
            .network(isCompiled: false): [15e-6], .network(isCompiled: true): [6e-6],
        ])
        let result = try compiled(original, x, [csr, w8a8], timer)
        #expect(result.choices.map(\.format) == [csr, .float32, w8a8])
        #expect(result.choices.map(\.ratioToFloat32) == [4e-6 / 1e-6, 1, 8e-6 / 2e-6])
        #expect(result.choices.map(\.seconds) == [1e-6, 3e-6, 2e-6])
        #expect(result.choices.map { $0.figures.map(\.format) } == Array(repeating: [.float32, csr, w8a8], count: 3))
        #expect(result.choices.map(\.byteCount) == result.network.layers.map(\.byteCount))
        #expect(result.seconds == 6e-6 && result.float32Seconds == 15e-6)
        // A B C A B C, three turns of each layer and of the whole.
        let first: [TimedRun] = [.layer("0", .float32), .layer("0", csr), .layer("0", w8a8)]
        #expect(Array(timer.calls.prefix(9)) == first + first + first && timer.calls.count == 3 * 9 + 3 * 2)

        let sparse = try #require(result.network.layers[0] as? SparseLinear), dense = try #require(original.layers[0] as? Linear)
        #expect(sparse.weight.blockCount == 32 * 24 / 2 && sparse.denseWeight() == dense.weight && sparse.activation == .relu)
        #expect(result.choices[0].relativeError < 1e-6 && result.choices[1].relativeError == 0)
        #expect((1e-5...0.05).contains(result.choices[2].relativeError) && (1e-5...0.05).contains(result.relativeError))
        #expect(result(x).bits == result.network.layers.reduce(x) { $1($0) }.bits, "seed \(generator.seed)")
    }

    @Test func errorsAreWithinTheBound() throws {
        var generator = SeededGenerator()
        let original = try network(&generator), x = generator.matrix(6, 32), w2 = WeightFormat.integer(.w2a8)
        let fast: [TimedRun: [Double]] = [
            .layer("0", w2): [1e-6], .layer("1", w2): [1e-6], .layer("2", w2): [1e-6], .layer("1", w8a8): [2e-6], .network(isCompiled: true): [1e-6],
        ]
        let free = try compiled(original, x, [w8a8, w2], ScriptedTimer(fast))
        #expect(free.choices.map(\.format) == [w2, w2, w2])
        let bounded = try compiled(original, x, [w8a8, w2], maximumError: 0.05, ScriptedTimer(fast))
        #expect(bounded.choices.map(\.format) == [.float32, w8a8, .float32], "seed \(generator.seed)")
        #expect(try compiled(original, x, [w8a8, w2], maximumError: 0, ScriptedTimer(fast)).choices.allSatisfy { $0.format == .float32 })
    }

    @Test func overflowIsNeverChosen() throws {
        let linear = try Linear(weight: Matrix(rows: 1, columns: 1, elements: [1e9]))
        let timer = ScriptedTimer([.layer("0", .half(.fp16)): [1e-9], .network(isCompiled: true): [1e-9]])
        let result = try Sequential([linear]).compiled(
            for: Matrix(rows: 1, columns: 1, elements: [1]), candidatesOfLayers: [[.half(.fp16)]], maximumError: .infinity, seconds: 1e-6,
            parallelism: .serial, timer: timer)
        #expect(result.choices[0].format == .float32 && result.choices[0].figures.count == 1)
        guard case .outOfRange = result.choices[0].unsuited[0].reason else {
            Issue.record("expected outOfRange, found \(result.choices[0].unsuited[0].reason)")
            return
        }
    }

    @Test func aNetworkThatIsNoFasterStaysFloat32() throws {
        var generator = SeededGenerator()
        let original = try network(&generator), x = generator.matrix(4, 32)
        let timer = ScriptedTimer([
            .layer("1", csr): [1e-6], .network(isCompiled: false): [5e-6], .network(isCompiled: true): [5e-6],
        ])
        let result = try compiled(original, x, [csr], timer)
        #expect(result.choices.allSatisfy { $0.format == .float32 && $0.ratioToFloat32 == 1 })
        #expect(result.choices[1].figures[1].seconds == 1e-6)  // what was measured is still told
        #expect(result.seconds == 5e-6 && result.relativeError == 0 && result(x).bits == original(x).bits)
    }

    @Test func theTimeIsSpent() throws {
        var generator = SeededGenerator()
        let original = try network(&generator), timer = ScriptedTimer([:])
        // A share of 40 ms for each layer and the whole: with the runs that warm up, 10 turns of two formats at 1 ms.
        _ = try compiled(original, generator.matrix(2, 32), [csr], seconds: 0.1599, timer)
        #expect(timer.calls.count == 4 * 2 * 10)
    }

    @Test func otherLayersStayAndUnsuitedFormatsAreTold() throws {
        var generator = SeededGenerator()
        let first = try Linear(weight: generator.matrix(20, 32)), second = try Linear(weight: generator.matrix(4, 20))
        let half = try HalfLinear(Linear(weight: generator.matrix(20, 20)), format: .bf16)
        let g32 = WeightFormat.integer(try .w4a8(groupSize: 32)), nOfM = WeightFormat.nOfM(.twoOfFour)  // of weights that are not pruned
        let result = try Sequential([ReLU(), first, half, second]).compiled(
            for: generator.matrix(3, 32), candidatesOfLayers: [[g32, g32], [nOfM]], maximumError: .infinity, seconds: 1e-6, parallelism: .serial,
            timer: ScriptedTimer([.layer("1", g32): [1e-6], .network(isCompiled: true): [1e-6]]))
        #expect(result.choices.map(\.layer) == ["1", "3"] && result.choices.map(\.format) == [g32, .float32])
        #expect(result.network.layers[2] is HalfLinear && result.choices[0].figures.count == 2)
        #expect(result.choices[1].unsuited.map(\.format) == [nOfM])
        guard case .outOfRange = result.choices[1].unsuited[0].reason else {
            Issue.record("expected outOfRange, found \(result.choices[1].unsuited[0].reason)")
            return
        }
    }

    /// Weights with the zeros of 2:4 or 4:8 are tried in these formats, whether they are listed or not.
    @Test func zerosOfNOfMAreTried() throws {
        var generator = SeededGenerator()
        func linear(_ outputs: Int, _ inputs: Int, _ keeps: (Int) -> Bool) throws -> Linear {
            let weight = generator.matrix(outputs, inputs)
            return try Linear(weight: Matrix(rows: outputs, columns: inputs) { keeps($1) ? weight[$0, $1] : 0 })
        }
        // 2:4, and so 4:8; 4:8 alone; more than 4:8 allows; rows that are shorter than a group of 4.
        let original = try Sequential([
            linear(24, 32) { $0 % 2 == 0 }, linear(16, 24) { $0 % 8 < 4 }, linear(3, 16) { $0 % 8 < 5 }, linear(8, 3) { _ in true },
        ])
        let two = WeightFormat.nOfM(.twoOfFour), four = WeightFormat.nOfM(.fourOfEight)
        let twoInt8 = WeightFormat.nOfM(.twoOfFour, .int8), fourInt8 = WeightFormat.nOfM(.fourOfEight, .int8)
        let x = generator.matrix(4, 32)
        func tried(_ candidates: [WeightFormat]) throws -> CompiledNetwork<Sequential> {
            try original.compiled(
                for: x, candidatesOfLayers: Array(repeating: candidates, count: 4), maximumError: .infinity, seconds: 1e-6, parallelism: .serial,
                timer: ScriptedTimer([.layer("0", two): [1e-6], .layer("1", fourInt8): [1e-6], .network(isCompiled: true): [1e-6]]))
        }
        func formats(_ result: CompiledNetwork<Sequential>) -> [[WeightFormat]] { result.choices.map { $0.figures.map(\.format) } }

        let exact = try tried([csr])
        #expect(formats(exact) == [[.float32, csr, two, four], [.float32, csr, four], [.float32, csr], [.float32, csr]])
        #expect(exact.choices.map(\.format) == [two, .float32, .float32, .float32] && exact.choices.allSatisfy { $0.unsuited.isEmpty })
        let chosen = try #require(exact.network.layers[0] as? NMSparseLinear), dense = try #require(original.layers[0] as? Linear)
        #expect(chosen.denseWeight() == dense.weight && exact.choices[0].relativeError < 1e-6, "seed \(generator.seed)")

        let rounded = try tried([w8a8, two])  // two is listed already
        #expect(formats(rounded)[0] == [.float32, w8a8, two, twoInt8, four, fourInt8])
        #expect(formats(rounded)[1] == [.float32, w8a8, four, fourInt8] && rounded.choices[1].unsuited.map(\.format) == [two])
        #expect(rounded.choices.map(\.format) == [two, fourInt8, .float32, .float32])
        #expect((1e-5...0.05).contains(rounded.choices[1].relativeError))
    }

    /// A float32 that nothing beats at these rows, as Accelerate's at many rows on Apple silicon: it stays, and the words say so, with figures.
    @Test func float32ThatWinsIsTold() throws {
        var generator = SeededGenerator()
        let original = try network(&generator), x = generator.matrix(256, 32), blas = BLASLibrary.description
        let timer = ScriptedTimer([
            .layer("0", .float32): [5e-6], .layer("0", w8a8): [10e-6], .layer("0", csr): [20e-6],
            .layer("1", .float32): [5e-6], .layer("1", w8a8): [5e-6], .layer("1", csr): [10e-6],
            .layer("2", .float32): [5e-6], .layer("2", w8a8): [50e-6], .layer("2", csr): [6e-6],
            .network(isCompiled: false): [15e-6], .network(isCompiled: true): [14e-6],
        ])
        let result = try compiled(original, x, [w8a8, csr], timer)
        #expect(result.choices.allSatisfy { $0.format == .float32 && $0.rows == 256 } && result(x).bits == original(x).bits)
        #expect(
            result.choices.map(\.reasonForFloat32) == [
                "no faster than \(blas): w8a8 0.50 ×, csr 0.25 ×", "no faster than \(blas): w8a8 1.00 ×, csr 0.50 ×",
                "no faster than \(blas): w8a8 0.10 ×, csr 0.83 ×",
            ])
        #expect(result.description.contains("\nlayer 0 stays in float32: no faster than \(blas): w8a8 0.50 ×, csr 0.25 ×\n"))

        // What wins alone and loses with the others, what is too wrong, and what cannot be.
        let alone = ScriptedTimer([.layer("0", w8a8): [0.5e-3], .network(isCompiled: false): [5e-6], .network(isCompiled: true): [6e-6]])
        let whole = try compiled(original, x, [w8a8], alone)
        #expect(whole.choices[0].reasonForFloat32 == "faster alone, but not in the whole network: w8a8 2.00 ×")
        let exact = try compiled(original, x, [w8a8, csr], maximumError: 1e-6, ScriptedTimer([.layer("0", w8a8): [0.25e-3]]))
        #expect(
            exact.choices[0].reasonForFloat32
                == "no faster than \(blas): csr 1.00 ×; faster, but with a larger error than allowed: w8a8 4.00 ×")
        let won = try compiled(original, x, [csr], ScriptedTimer([.layer("0", csr): [1e-6], .network(isCompiled: true): [1e-6]]))
        #expect(won.choices[0].reasonForFloat32 == nil && won.choices[1].reasonForFloat32 != nil)
        let unsuited = try Sequential([Linear(weight: Matrix(rows: 1, columns: 1, elements: [1e9]))]).compiled(
            for: Matrix(rows: 1, columns: 1, elements: [1]), candidates: [.half(.fp16)], seconds: 1e-6)
        #expect(unsuited.choices[0].reasonForFloat32 == "no other format suits it")
    }

    @Test func choicesAreAlignedLines() throws {
        var generator = SeededGenerator()
        let timer = ScriptedTimer([.layer("0", csr): [0.5e-6], .network(isCompiled: true): [1e-6]])
        let result = try compiled(try network(&generator), generator.matrix(16, 32), [csr], timer)
        let lines = result.description.split(separator: "\n")
        #expect(lines.count == 5 && Set(lines.prefix(3).map(\.count)).count == 1)
        #expect(lines[3].hasPrefix("layer 1 stays in float32: no faster than") && lines[4].hasPrefix("layer 2 stays in float32: no faster than"))
        #expect(lines[0].hasPrefix("layer 0                       16×32×24          csr                 0.5 µs  2000.00 × float32"))
    }

    @Test func wrongInputs() throws {
        var generator = SeededGenerator()
        let network = try network(&generator), x = generator.matrix(2, 32)
        #expect(throws: NumericsError.outOfRange(what: "candidates of float32 layer 0", allowed: "at least one format", found: "none")) {
            try network.compiled(for: x, candidates: [])
        }
        #expect(throws: NumericsError.shapeMismatch(what: "lists of candidates", expected: "3, one for each float32 layer", found: "1")) {
            try network.compiled(for: x, candidatesOfLayers: [[csr]])
        }
        #expect(throws: NumericsError.shapeMismatch(what: "sample", expected: "2×32", found: "2×31")) {
            try network.compiled(for: generator.matrix(2, 31), candidates: [csr])
        }
        #expect(throws: NumericsError.outOfRange(what: "rows of the sample", allowed: "at least 1", found: "0")) {
            try network.compiled(for: Matrix(rows: 0, columns: 32), candidates: [csr])
        }
        var infinite = x
        infinite[1, 3] = .infinity
        #expect(throws: NumericsError.notFinite(what: "sample", row: 1, column: 3)) { try network.compiled(for: infinite, candidates: [csr]) }
        for seconds in [0, -1, .nan, .infinity] {
            #expect(throws: NumericsError.self) { try network.compiled(for: x, candidates: [csr], seconds: seconds) }
        }
        for bound in [-1, Double.nan] {
            #expect(throws: NumericsError.self) { try network.compiled(for: x, candidates: [csr], maximumError: bound) }
        }
        let huge = try Sequential([Linear(weight: Matrix(rows: 1, columns: 1, elements: [3e38]))])
        #expect(throws: NumericsError.notFinite(what: "outputs for the sample", row: 0, column: 0)) {
            try huge.compiled(for: Matrix(rows: 1, columns: 1, elements: [10]), candidates: [csr])
        }
    }

    @Test func theClockOfTheMachine() throws {
        var generator = SeededGenerator()
        let x = generator.matrix(3, 32)
        let formats: [WeightFormat] = [csr, w8a8, .half(.fp16), .sparse(try BlockShape(rows: 4, columns: 1), .int8), .float32]
        let result = try network(&generator).compiled(for: x, candidates: formats, seconds: 0.01, parallelism: Parallelism(threads: 2))
        #expect(result.choices.allSatisfy { $0.figures.count == 5 && $0.figures.allSatisfy { $0.seconds > 0 } && $0.ratioToFloat32 >= 1 })
        #expect(formats.map(\.description) == ["csr", "w8a8", "f16", "4x1-w8a8", "float32"])
    }
}
