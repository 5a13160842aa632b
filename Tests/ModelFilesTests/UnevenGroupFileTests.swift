import CompactNumerics
import Foundation
import ModelFiles
import Testing

/// Groups that do not divide the inputs come back from a file with all codes, multipliers and zero points.
@Suite struct UnevenGroupFileTests {
    @Test(arguments: ["w8a8-g32", "w4a8-g32", "w4a8-g128", "w2a8-g96", "ternary-g64", "w1a8-g32"]) func layersComeBack(name: String) throws {
        let scheme = try QuantizationScheme(named: name), columns = 100
        let weight = Matrix(rows: 9, columns: columns) { row, column in Float((row * 31 + column * 17) % 101 - 50) / 64 }
        let quantized = try QuantizedLinear(Linear(weight: weight, bias: Array(repeating: 0.5, count: 9)), scheme: scheme)
        let packed = try QuantizedMatrix(weight, scheme: scheme), groups = packed.unpacked().multipliers.count
        let takesZeroPoints = scheme.bits > 1 && !scheme.isTernary
        let weightOnly = try WeightOnlyLinear(
            weight: packed, zeroPoints: takesZeroPoints ? (0..<groups).map { Int8($0 % 3 - 1) } : [], activation: .relu)
        let path = NSTemporaryDirectory() + "uneven-groups-\(UInt64.random(in: 0...UInt64.max)).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for layer in [quantized, weightOnly] as [any LinearLayer] {
            try DeployedModel.write(Sequential([layer]), to: path)
            let read = try #require(try DeployedModel.read(from: path).layers[0] as? any LinearLayer)
            #expect(type(of: read) == type(of: layer) && read.inputs == columns && read.denseWeight() == layer.denseWeight())
            #expect(read(weight) == layer(weight) && read.byteCount == layer.byteCount)
        }
    }
}
