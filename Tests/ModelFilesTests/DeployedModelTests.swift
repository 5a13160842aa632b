import CompactNumerics
import Foundation
@testable import ModelFiles
import Testing

@Suite struct DeployedModelTests {
    private func temporary<Result>(_ body: (String) throws -> Result) throws -> Result {
        let path = NSTemporaryDirectory() + "deployed-\(UUID().uuidString).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    /// Bit for bit: the same numbers are stored, and the outputs of every layer are the same.
    @Test(arguments: [true, false]) func everyLayerComesBack(deflates: Bool) throws {
        let network = try Sequential(GoldenNetwork.layers(schema: 2))
        try temporary { path in
            try DeployedModel.write(network, to: path, deflates: deflates)
            let read = try DeployedModel.read(from: path)
            #expect(read.layers.count == network.layers.count && read.byteCount == network.byteCount && read.names == network.names)
            var input = GoldenNetwork.input
            for (a, b) in zip(network.layers, read.layers) {
                let output = a(input)
                #expect(output == b(input), "\(type(of: a))")
                compare(a, b)
                input = output
            }
            let deflated = try SafetensorsFile(path: path).metadata["deflated"]
            #expect((deflated == "{}") != deflates)
        }
    }

    /// Formats of 16 bits by their names, and one that has none.
    @Test(arguments: HalfMatrix.Format.allCases) func halvesComeBack(format: HalfMatrix.Format) throws {
        try temporary { path in
            let layer = try HalfLinear(
                Linear(weight: Matrix(rows: 5, columns: 3) { Float($0) - 1.5 * Float($1) }, bias: [1, 2, 3, 4, 5]), format: format)
            try DeployedModel.write(Sequential([layer]), to: path)
            let read = try #require(DeployedModel.read(from: path).layers[0] as? HalfLinear),
                x = try Matrix(rows: 1, columns: 3, elements: [0.3, -2, 7])
            #expect(read.weight.format == format && read.weight.patterns() == layer.weight.patterns() && read(x) == layer(x))
            let file = try SafetensorsFile(path: path), layers = try #require(file.metadata["layers"])
            let metadata = [
                "kind": DeployedModel.kind, "schema": "2", "deflated": "{}",
                "layers": layers.replacingOccurrences(of: "\"\(format.rawValue)\"", with: "\"bf16a8\""),
            ]
            try SafetensorsFile.write([], metadata: metadata, to: path)
            let error = #expect(throws: ModelFileError.self) { try DeployedModel.read(from: path) }
            #expect(error?.description.contains("bf16a8") == true, "\(error?.description ?? "none")")
        }
    }

    private func compare(_ a: any Layer, _ b: any Layer) {
        switch (a, b) {
        case (let a as QuantizedLinear, let b as QuantizedLinear):
            #expect((0..<a.outputs).allSatisfy { a.weight.codes(row: $0) == b.weight.codes(row: $0) } && a.inputQuantization == b.inputQuantization)
        case (let a as WeightOnlyLinear, let b as WeightOnlyLinear): #expect(a.zeroPoints == b.zeroPoints)
        case (let a as SparseLinear, let b as SparseLinear):
            #expect(a.weight.blockArrays() == b.weight.blockArrays() && a.inputQuantization == b.inputQuantization)
        case (let a as NMSparseLinear, let b as NMSparseLinear):
            #expect(a.weight.arrays() == b.weight.arrays() && a.inputQuantization == b.inputQuantization)
        default: #expect(type(of: a) == type(of: b))
        }
    }

    @Test(arguments: [8, 4, 2, 1]) func codesPack(bits: Int) {
        for count in [0, 1, 7, 8, 9, 33] {
            let codes = (0..<count).map { index -> Int8 in
                bits == 1 ? (index % 3 == 0 ? -1 : 1) : Int8(truncatingIfNeeded: (index * 5) % (1 << bits) - (1 << (bits - 1)))
            }
            let packed = CodePacking.pack(codes, bits: bits)
            #expect(packed.count == (count * bits + 7) / 8 && CodePacking.unpack(packed, bits: bits, count: count) == codes)
        }
    }

    @Test func gapsPack() throws {
        for places in [[], [0], [254], [255], [256], [0, 1, 300, 811, 1400], Array(0..<40)] as [[Int]] {
            var found: [Int] = []
            try CodePacking.forEachPlace(CodePacking.gaps(places), count: 1401) { found.append($0) }
            #expect(found == places && CodePacking.placeCount(CodePacking.gaps(places)) == places.count)
        }
        #expect(throws: NumericsError.self) { try CodePacking.forEachPlace([3], count: 3) { _ in } }
    }

    /// Bytes of a sound file changed and cut at many places: an error or a network, never a crash.
    @Test func damagedFilesAreRefused() throws {
        let network = try Sequential(GoldenNetwork.layers(schema: 2))
        try temporary { path in
            try DeployedModel.write(network, to: path)
            let sound = try Data(contentsOf: URL(fileURLWithPath: path))
            for cut in stride(from: 0, to: sound.count, by: max(1, sound.count / 40)) {
                try sound.prefix(cut).write(to: URL(fileURLWithPath: path))
                #expect(throws: ModelFileError.self) { try DeployedModel.read(from: path) }
            }
            for at in stride(from: 8, to: sound.count, by: 97) {
                var damaged = sound
                damaged[at] ^= 0x15
                try damaged.write(to: URL(fileURLWithPath: path))
                _ = try? DeployedModel.read(from: path)
            }
            try SafetensorsFile.write([TensorContent(name: "w", matrix: GoldenNetwork.matrix(2, 2, seed: 1))], to: path)
            let error = #expect(throws: ModelFileError.self) { try DeployedModel.read(from: path) }
            #expect(error?.kind == .mismatch)
        }
    }

    private struct Strange: Layer {
        var inputCount: Int? { nil }
        var byteCount: Int { 0 }
        func outputCount(inputs: Int) -> Int { inputs }
        func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) { output = input }
    }

    @Test func strangeLayersAreNamed() throws {
        try temporary { path in
            let error = #expect(throws: ModelFileError.self) { try DeployedModel.write(Sequential([Strange()]), to: path) }
            #expect(error?.kind == .unsupported && !FileManager.default.fileExists(atPath: path))
        }
    }

    // MARK: - Layers and networks of the user's own

    private struct Doubling: CodableLayer {
        static let kind = "doubling"
        let times: Float
        var inputCount: Int? { nil }
        var byteCount: Int { 0 }
        func outputCount(inputs: Int) -> Int { inputs }
        func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
            output = Matrix(rows: input.rows, columns: input.columns) { input[$0, $1] * times }
        }
        init(times: Float) { self.times = times }
        init(from archive: some TensorArchiveReader) throws(NumericsError) { times = try archive.float(named: "times") }
        func encode(into archive: inout some TensorArchiveWriter) { archive.put(times, named: "times") }
    }

    /// A layer is one type: files hold it as soon as its kind is passed to the reader.
    @Test func layersOfUsersComeBack() throws {
        let network = try Sequential([Doubling(times: 0.1), Linear(weight: GoldenNetwork.matrix(3, 2, seed: 1))], names: ["twice", "head"])
        try temporary { path in
            try DeployedModel.write(network, to: path)
            let read = try DeployedModel.read(from: path, kinds: [Doubling.self]), x = GoldenNetwork.matrix(4, 2, seed: 3)
            #expect(read(x) == network(x) && read.names == ["twice", "head"])
            let error = #expect(throws: ModelFileError.self) { try DeployedModel.read(from: path) }
            #expect(error?.found.contains("doubling") == true)
        }
    }

    private struct Perceptron: Network {
        var hidden, output: any LinearLayer
        var linearLayers: [NamedLinearLayer] {
            [NamedLinearLayer(name: "hidden", layer: hidden), NamedLinearLayer(name: "output", layer: output)]
        }
        func replacingLinearLayers(_ replace: (NamedLinearLayer) throws -> any LinearLayer) rethrows -> Perceptron {
            let layers = try linearLayers.map(replace)
            return Perceptron(hidden: layers[0], output: layers[1])
        }
    }

    private func perceptron(hidden: Int) throws -> Perceptron {
        try Perceptron(
            hidden: Linear(weight: GoldenNetwork.matrix(hidden, 8, seed: 1)), output: Linear(weight: GoldenNetwork.matrix(3, hidden, seed: 2)))
    }

    @Test func networksOfAnyShapeGetTheirLayers() throws {
        let network = try perceptron(hidden: 32).converted(to: .integer(.w8a8))
        try temporary { path in
            try DeployedModel.write(layersOf: network, to: path)
            let read = try DeployedModel.read(into: perceptron(hidden: 32), from: path)
            for (a, b) in zip(network.linearLayers, read.linearLayers) {
                #expect(b.layer is QuantizedLinear && a.layer.denseWeight() == b.layer.denseWeight() && a.name == b.name)
            }
            let shape = #expect(throws: ModelFileError.self) { try DeployedModel.read(into: perceptron(hidden: 16), from: path) }
            #expect(shape?.kind == .mismatch && shape?.expected == "a linear layer [16, 8]" && shape?.found == "[32, 8]")
            let extra = #expect(throws: ModelFileError.self) {
                try DeployedModel.read(into: Sequential([Linear(weight: Matrix(rows: 32, columns: 8))], names: ["hidden"]), from: path)
            }
            #expect(extra?.what == "layer \"output\"")
            let missing = #expect(throws: ModelFileError.self) {
                try DeployedModel.read(into: Sequential([Linear(weight: Matrix(rows: 32, columns: 8))], names: ["first"]), from: path)
            }
            #expect(missing?.what == "layer \"first\"" && missing?.found == "none")
        }
    }

    // MARK: - What is written can be read

    private func storedBytes(_ path: String) throws -> Int { try SafetensorsFile(path: path).tensors.reduce(0) { $0 + $1.byteCount } }

    /// Zeros deflate 1,000 times: as a stream they would ask for more memory than 16 times their bytes and 64 MB.
    @Test func tensorsStayUndeflatedWhereReadingNeedsIt() throws {
        let zeros = try Linear(weight: Matrix(rows: 3000, columns: 3000)), small = try Linear(weight: Matrix(rows: 300, columns: 3000))
        let ones = [Int8](repeating: 1, count: 1 << 26), scales = [Float](repeating: 1, count: 1 << 13)
        let binary = try QuantizedLinear(weight: QuantizedMatrix(rows: 1 << 13, columns: 1 << 13, scheme: .w1a8, codes: ones, scales: scales))
        for (layer, isDeflated) in [(zeros, false), (small, true), (binary, false)] as [(any LinearLayer, Bool)] {
            try temporary { path in
                try DeployedModel.write(Sequential([layer]), to: path)
                #expect(try (storedBytes(path) < layer.byteCount / 100) == isDeflated, "\(type(of: layer))")
                #expect(try DeployedModel.read(from: path).byteCount == layer.byteCount)
            }
        }
    }
}
