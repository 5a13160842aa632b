import CompactNumerics
import Foundation
@testable import ModelFiles
import Testing

@Suite struct DeployedModelTests {
    private func matrix(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
        var state = seed
        return Matrix(rows: rows, columns: columns) { _, _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(Int64(bitPattern: state) >> 33) / Float(1 << 30)
        }
    }

    /// Of 64 outputs with 2 groups each.
    private let zeroPoints4: [Int8] = (0..<128).map { (place: Int) -> Int8 in Int8(place % 16 - 8) }

    private func everything() throws -> Sequential {
        func linear(_ n: Int, _ k: Int, bias: Bool = true) throws -> Linear {
            try Linear(weight: matrix(n, k, seed: UInt64(n * k)), bias: bias ? (0..<n).map { Float($0) / 7 - 1 } : nil)
        }
        let conv = try ImageWindows(height: 8, width: 8, channels: 1, windowHeight: 3, windowWidth: 3, padding: 1)
        let pool = try ImageWindows(height: 8, width: 8, channels: 4, windowHeight: 2, windowWidth: 2, stride: 2)
        let small = try ImageWindows(height: 4, width: 4, channels: 4, windowHeight: 2, windowWidth: 2, stride: 2)
        return try Sequential([
            Convolution(windows: conv, linear: QuantizedLinear(linear(4, 9), scheme: .w8a8)), ReLU(),
            ScaleShift(scale: [1, 2, 3, 4], shift: [0, 1, 0, -1], positions: 64),
            MaxPool(windows: pool), AveragePool(windows: small),
            QuantizedLinear(linear(64, 16), scheme: .w4a8, inputQuantization: .fixed(scale: 0.1, zeroPoint: 3)),
            QuantizedLinear(linear(64, 64), scheme: QuantizationScheme(named: "w4a8-g32")), ReLU(),
            QuantizedLinear(linear(64, 64), scheme: .w2a8), QuantizedLinear(linear(64, 64), scheme: .w1a8), HalfLinear(linear(64, 64), format: .bf16),
            WeightOnlyLinear(weight: QuantizedMatrix(matrix(64, 64, seed: 5), scheme: .ternary), bias: nil),
            WeightOnlyLinear(
                weight: QuantizedMatrix(matrix(64, 64, seed: 6), scheme: QuantizationScheme(named: "w4a8-g32")), zeroPoints: zeroPoints4),
            SparseLinear(linear(64, 64, bias: false), sparsity: 0.9),
            SparseLinear(linear(64, 64), sparsity: 0.5, shape: BlockShape(rows: 4, columns: 1), values: .int8),
            NMSparseLinear(linear(64, 64)), NMSparseLinear(linear(32, 64), sparsity: .fourOfEight, values: .int8), linear(10, 32),
        ])
    }

    private func temporary<Result>(_ body: (String) throws -> Result) throws -> Result {
        let path = NSTemporaryDirectory() + "deployed-\(UUID().uuidString).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    @Test func everyLayerComesBack() throws {
        let network = try everything(), x = matrix(7, 64, seed: 9)
        try temporary { path in
            try DeployedModel.write(network, to: path)
            let read = try DeployedModel.read(from: path)
            #expect(read.layers.count == network.layers.count && read.byteCount == network.byteCount)
            let (expected, found) = (network(x), read(x))
            for row in 0..<7 {
                for column in 0..<10 {
                    let (a, b) = (expected[row, column], found[row, column])
                    #expect(abs(a - b) <= 1e-4 * (1 + abs(a)), "\(a) \(b)")
                }
            }
            let zeroPoints = read.layers.compactMap { ($0 as? WeightOnlyLinear)?.zeroPoints }
            #expect(zeroPoints == [[], zeroPoints4])
            for (a, b) in zip(network.layers, read.layers) {
                guard let a = a as? QuantizedLinear, let b = b as? QuantizedLinear else { continue }
                #expect(
                    (0..<a.outputs).allSatisfy { a.weight.codes(row: $0) == b.weight.codes(row: $0) } && a.inputQuantization == b.inputQuantization)
            }
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

    @Test func gapsPack() {
        for places in [[], [0], [254], [255], [256], [0, 1, 300, 811, 1400], Array(0..<40)] as [[Int]] {
            #expect(CodePacking.places(CodePacking.gaps(places), count: 1401) == places)
        }
        #expect(CodePacking.places([3], count: 3) == nil)
    }

    /// Bytes of a sound file changed and cut at many places: an error or a network, never a crash.
    @Test func damagedFilesAreRefused() throws {
        let network = try everything()
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
            try SafetensorsFile.write([TensorContent(name: "w", matrix: matrix(2, 2, seed: 1))], to: path)
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
}
