import CompactNumerics
import Foundation
import Synchronization
import Testing

private func numbers(_ matrix: Matrix) -> [Float] { matrix.withUnsafeBufferPointer { Array($0) } }

/// A network that is no chain: y = W₂ · relu(W₁ · x) + x.
private struct Residual: Network, Layer {
    var first, second: any LinearLayer

    var linearLayers: [NamedLinearLayer] {
        [NamedLinearLayer(name: "up", layer: first), NamedLinearLayer(name: "block.down", layer: second)]
    }

    func replacingLinearLayers(_ replace: (NamedLinearLayer) throws -> any LinearLayer) throws -> Residual {
        let layers = try linearLayers.map(replace)
        return Residual(first: layers[0], second: layers[1])
    }

    var inputCount: Int? { first.inputs }
    func outputCount(inputs: Int) -> Int { second.outputs }
    var byteCount: Int { first.byteCount + second.byteCount }

    func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        let branch = second(ReLU()(first(input)))
        output = Matrix(rows: input.rows, columns: input.columns) { branch[$0, $1] + input[$0, $1] }
    }
}

@Suite struct NetworkTests {
    private func residual(_ generator: inout SeededGenerator) throws -> Residual {
        Residual(
            first: try Linear(weight: generator.matrix(48, 32), bias: generator.numbers(48)), second: try Linear(weight: generator.matrix(32, 48)))
    }

    @Test func linearLayersAreReplacedByName() throws {
        var generator = SeededGenerator()
        let network = try residual(&generator), x = generator.matrix(5, 32)
        let half = try network.converted(to: .integer(.w8a8)) { $0 == "block.down" }
        #expect(half.first is Linear && half.second is QuantizedLinear, "seed \(generator.seed)")
        let y = network(x), z = half(x)
        let error = zip(numbers(y), numbers(z)).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        #expect(error > 0 && error < 0.03 * numbers(y).map(abs).max()!, "seed \(generator.seed): \(error)")
        #expect(network.linearLayer(named: "up") is Linear && network.linearLayer(named: "down") == nil)
    }

    @Test func inputsOfEachLayerAreShown() throws {
        var generator = SeededGenerator()
        let network = try residual(&generator), x = generator.matrix(3, 32)
        let seen = Mutex<[String: Matrix]>([:])
        var outputs: Matrix?
        try network.observingInputs { name, input in
            seen.withLock { $0[name] = input }
        } while: {
            outputs = $0(x)
        }
        let found = seen.withLock { $0 }
        #expect(outputs == network(x) && found["up"] == x && found["block.down"] == ReLU()(network.first(x)), "seed \(generator.seed)")
    }

    @Test func networksThatAreNoChainCompile() throws {
        var generator = SeededGenerator()
        let network = try residual(&generator), x = generator.matrix(8, 32)
        let compiled = try network.compiled(for: x, candidates: [.integer(.w8a8), .half(.bf16), .integer(.w4a8(groupSize: 32))], seconds: 0.01)
        #expect(compiled.choices.map(\.layer) == ["up", "block.down"])
        #expect(compiled.relativeError < 0.2 && compiled(x).columns == 32, "seed \(generator.seed)")
    }

    @Test func sequentialsNameTheirLayers() throws {
        var generator = SeededGenerator()
        let inner = try Sequential(
            [Linear(weight: generator.matrix(4, 4)), ReLU(), Linear(weight: generator.matrix(4, 4))], names: ["a", "relu", "b"])
        let windows = try ImageWindows(height: 2, width: 2, channels: 1, windowHeight: 1, windowWidth: 1)
        let network = try Sequential(
            [Convolution(windows: windows, linear: Linear(weight: generator.matrix(1, 1))), ReLU(), inner], names: ["conv", "relu", "block"])
        #expect(network.names == ["conv", "block.a", "block.b"] && network.linearLayers.map(\.name) == network.names)
        #expect(network.linearLayers.map { $0.windows == nil } == [false, true, true])
        let int8 = try network.converted(to: .integer(.w8a8)) { $0 != "block.a" }
        #expect((int8.layers[0] as? Convolution)?.linear is QuantizedLinear && int8.layers[1] is Linear && int8.layers[2] is QuantizedLinear)
        // Activations stay with the layers they were fused into.
        #expect(int8.linearLayers.map(\.layer.activation) == [.relu, .relu, .none] && int8.names == network.names)
    }

    @Test func namesHaveToFit() throws {
        #expect(throws: NumericsError.shapeMismatch(what: "names of layers", expected: "2", found: "1")) {
            try Sequential([ReLU(), ReLU()], names: ["a"])
        }
        #expect(throws: NumericsError.invalidStructure(what: "names of layers", expected: "each name once", found: "a again")) {
            try Sequential([ReLU(), ReLU()], names: ["a", "a"])
        }
    }
}

@Suite struct WeightFormatTests {
    /// Every format by its name, and as JSON.
    private static let names = [
        "float32", "f16", "bf16", "w8a8", "w8a8-tensor", "w8a8-g64", "w8a7", "w4a8-channel", "w4a8-g32", "w3a8-channel", "w3a8-tensor",
        "w2a8-channel",
        "ternary-channel", "w1a8-channel", "w1a1-tensor", "csr", "csr-w8a8", "4x1", "16x16-w8a8", "2:4", "4:8-w8a8",
    ]

    @Test func namesReadBack() throws {
        for name in Self.names {
            let format = try WeightFormat(named: name), data = try JSONEncoder().encode([format])
            #expect(format.description == name)
            #expect(String(decoding: data, as: UTF8.self) == "[\"\(name)\"]")
            #expect(try JSONDecoder().decode([WeightFormat].self, from: data) == [format])
        }
        #expect(Set(try Self.names.map { try WeightFormat(named: $0) }).count == Self.names.count)
        // Short names of schemes.
        #expect(try WeightFormat(named: "w4a8") == WeightFormat(named: "w4a8-channel") && WeightFormat(named: "w3a8") == .threeBits(.w4a8))
    }

    @Test(arguments: ["", "w5a8", "csr-w4a8", "1x1", "2x2", "w3a8-g32", "3:4", "float16", "w8a8-", "csr-"])
    func otherNamesAreRefused(name: String) {
        #expect(throws: NumericsError.self) { try WeightFormat(named: name) }
    }

    @Test func eachFormatMakesALayer() throws {
        var generator = SeededGenerator()
        let full = generator.matrix(32, 64)
        let linear = try Linear(
            weight: Matrix(rows: 32, columns: 64) { $1 % 4 < 2 ? full[$0, $1] : 0 }, bias: generator.numbers(32), activation: .relu)
        for name in Self.names {
            let layer = try WeightFormat(named: name).layer(linear, rows: 3)
            #expect((layer.inputs, layer.outputs) == (64, 32) && layer.bias == linear.bias && layer.activation == .relu, "\(name)")
            let weight = layer.denseWeight(), exact = ["float32", "csr", "4x1", "2:4"].contains(name)
            #expect(!exact || weight == linear.weight, "\(name), seed \(generator.seed)")
        }
    }

    /// Codes to nearest by the largest magnitude, as a loop of its own says.
    @Test(arguments: [QuantizationScheme.Granularity.channel, .tensor]) func threeBits(granularity: QuantizationScheme.Granularity) throws {
        var generator = SeededGenerator()
        let weight = generator.matrix(7, 33), scheme = try QuantizationScheme(bits: 4, granularity: granularity)
        let layer = try WeightFormat.threeBits(scheme).layer(Linear(weight: weight)) as! QuantizedLinear
        let largest = numbers(weight).max { abs($0) < abs($1) }!
        for row in 0..<7 {
            let extreme = granularity == .tensor ? largest : numbers(weight)[row * 33..<(row + 1) * 33].max { abs($0) < abs($1) }!
            let codes = layer.weight.codes(row: row), scale = extreme / -4
            for column in 0..<33 {
                let expected = max(-4, min(3, (weight[row, column] * (1 / scale)).rounded(.toNearestOrEven)))
                #expect(Float(codes[column]) == expected, "[\(row), \(column)], seed \(generator.seed)")
            }
        }
    }
}
