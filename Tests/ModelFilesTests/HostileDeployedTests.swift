import CompactNumerics
import Foundation
@testable import ModelFiles
import Testing

/// A small file that asks for much.
private struct HostileFile {
    let name: String
    let schema: Int
    let layers: String
    /// Deflated before they are written.
    var deflated: [String: [UInt8]] = [:]
    var plain: [String: [UInt8]] = [:]
    /// In place of the true sizes of deflated tensors.
    var sizes: [String: Int] = [:]
    /// What it describes is honest, if empty, and may be read where that takes little.
    var mayBeRead = false

    func write(to path: String) throws {
        var tensors = plain.map { TensorContent(name: $0, type: .u8, shape: [$1.count], bytes: $1) }, sizes = deflated.mapValues(\.count)
        sizes.merge(self.sizes) { $1 }
        for (name, bytes) in deflated {
            let stream = try #require(Deflate.compressed(bytes))
            tensors.append(TensorContent(name: name, type: .u8, shape: [stream.count], bytes: stream))
        }
        let sizeText = String(decoding: try JSONEncoder().encode(sizes), as: UTF8.self), kind = DeployedModel.kind
        let metadata = schema == 1 ? ["kind": kind + " 1"] : ["kind": kind, "schema": "\(schema)"]
        try SafetensorsFile.write(tensors, metadata: metadata.merging(["layers": layers, "deflated": sizeText]) { $1 }, to: path)
    }

    private static func linear(_ kind: String, _ n: Int, _ k: Int, _ rest: String) -> String {
        #"[{"kind":"\#(kind)","outputs":\#(n),"inputs":\#(k),\#(rest)}]"#
    }

    private static func windows(_ kind: String, _ windows: [Int]) -> String { #"[{"kind":"\#(kind)","windows":\#(windows)}]"# }

    private static let megabyte = [UInt8](repeating: 255, count: 1 << 20)
    private static let zeros = [UInt8](repeating: 0, count: 1 << 23)

    static func sparse(schema: Int) -> [HostileFile] {
        let block = #""format":"1x1","values":"float32""#, codes = #""format":"1x1","values":"int8""#
        return [
            HostileFile(
                name: "gaps of a huge matrix", schema: schema, layers: linear("sparse", 1 << 14, 1 << 14, block), deflated: ["0.gaps": megabyte],
                mayBeRead: true),
            HostileFile(name: "no weights", schema: schema, layers: linear("sparse", 8192, 8192, block), mayBeRead: true),
            HostileFile(name: "rows alone", schema: schema, layers: linear("sparse", 1 << 28, 1, block)),
            HostileFile(name: "columns alone", schema: schema, layers: linear("sparse", 1, 1 << 28, block)),
            HostileFile(
                name: "gaps that deflate", schema: schema, layers: linear("sparse", 1 << 14, 1 << 14, codes),
                deflated: ["0.gaps": zeros, "0.codes": zeros], plain: ["0.scales": [0, 0, 0, 63]]),
            HostileFile(
                name: "blocks of 256", schema: schema, layers: linear("sparse", 1 << 14, 1 << 14, #""format":"16x16","values":"float32""#),
                deflated: ["0.gaps": megabyte.map { _ in schema == 1 ? 15 : 0 }, "0.values": zeros]),
            HostileFile(name: "N:M without weights", schema: schema, layers: linear("nOfM", 1 << 15, 1 << 15, #""format":"2:4","values":"float32""#)),
            HostileFile(name: "N:M of codes", schema: schema, layers: linear("nOfM", 1 << 18, 1 << 16, #""format":"4:8","values":"int8""#)),
            HostileFile(
                name: "code -128", schema: schema, layers: linear("sparse", 1, 1, codes),
                plain: ["0.gaps": [0], "0.codes": [128], "0.scales": [0, 0, 0, 63]]),
            HostileFile(
                name: "scale NaN", schema: schema, layers: linear("sparse", 1, 1, codes),
                plain: ["0.gaps": [0], "0.codes": [1], "0.scales": [0, 0, 192, 127]]),
        ]
    }

    static func dense(schema: Int) -> [HostileFile] {
        let many = (0..<40).map { #"{"kind":"linear","outputs":1024,"inputs":2048}"# + ($0 == 39 ? "" : ",") }.joined()
        return [
            HostileFile(
                name: "1 bit", schema: schema, layers: linear("quantized", 1 << 13, 1 << 13, #""format":"w1a8-channel""#),
                deflated: ["0.codes": zeros]),
            HostileFile(
                name: "zeros", schema: schema, layers: linear("linear", 1 << 13, 1 << 12, #""relu":true"#),
                deflated: ["0.weight": zeros + zeros + zeros + zeros + zeros + zeros]),
            HostileFile(
                name: "more than its shape", schema: schema, layers: linear("linear", 1, 1, #""relu":true"#),
                deflated: ["0.weight": [UInt8](repeating: 0, count: 96 << 20)]),
            HostileFile(
                name: "one row", schema: schema, layers: linear("half", 1, 1 << 23, #""format":"f16""#), deflated: ["0.weight": zeros + zeros]),
            HostileFile(
                name: "many layers", schema: schema, layers: "[\(many)]",
                deflated: Dictionary(uniqueKeysWithValues: (0..<40).map { ("\($0).weight", zeros) })),
            HostileFile(name: "half NaN", schema: schema, layers: linear("half", 1, 1, #""format":"f16""#), plain: ["0.weight": [0, 126]]),
            HostileFile(name: "half infinity", schema: schema, layers: linear("half", 1, 1, #""format":"bf16""#), plain: ["0.weight": [128, 127]]),
            HostileFile(name: "product beyond Int", schema: schema, layers: linear("linear", .max, .max, #""relu":true"#)),
            HostileFile(
                name: "size below 0", schema: schema, layers: linear("linear", 2, 2, #""relu":true"#), plain: ["0.weight": [1]],
                sizes: ["0.weight": -1]),
            HostileFile(
                name: "size beyond Int", schema: schema, layers: linear("linear", 2, 2, #""relu":true"#), plain: ["0.weight": [1]],
                sizes: ["0.weight": .max]),
        ]
    }

    static func images(schema: Int) -> [HostileFile] {
        let huge = 1 << 20, endless = [1000, 1000, 1, 1000, 1000, 1, 999]
        let convolution =
            schema == 1
            ? #"[{"kind":"linear","outputs":1,"inputs":1000000,"windows":\#(endless)}]"#
            : #"[{"kind":"convolution","windows":\#(endless),"linear":{"kind":"linear","outputs":1,"inputs":1000000}}]"#
        let floats: [UInt8] = [0, 0, 128, 63], shift: [String: [UInt8]] = ["0.scale": floats, "0.shift": floats]
        return [
            HostileFile(name: "window", schema: schema, layers: windows("maxPool", [1, 1, 1, huge, huge, 1, huge - 1])),
            HostileFile(name: "mean", schema: schema, layers: windows("averagePool", [1, 1, huge, huge, huge, 1, huge - 1])),
            HostileFile(
                name: "endless convolution", schema: schema, layers: convolution,
                plain: [schema == 1 ? "0.weight" : "0.linear.weight": [UInt8](repeating: 0, count: 4_000_000)]),
            HostileFile(name: "positions", schema: schema, layers: #"[{"kind":"scaleShift","positions":9223372036854775807}]"#, plain: shift),
            HostileFile(
                name: "infinite shift", schema: schema, layers: #"[{"kind":"scaleShift","positions":1}]"#,
                plain: ["0.scale": floats, "0.shift": [0, 0, 128, 127]]),
            HostileFile(name: "unused tensor", schema: schema, layers: #"[{"kind":"relu"}]"#, plain: ["0.weight": [1]]),
            HostileFile(name: "unknown kind", schema: schema, layers: #"[{"kind":"\u001b[31m"}]"#),
            HostileFile(
                name: "layers within layers", schema: schema,
                layers: "[" + String(repeating: #"{"kind":"convolution","linear":"#, count: 400) + "1" + String(repeating: "}", count: 400) + "]"),
        ]
    }

    /// Layers of few bytes, as many as the budget allows and more: what the descriptions take.
    static func crowds(schema: Int) -> [HostileFile] {
        [(#"{"kind":"relu"}"#, 100_000), (#"{"kind":"relu","a":1,"b":[1],"c":""}"#, 40_000), (#"{"kind":"relu"}"#, 200_000)].map { layer, count in
            let layers = "[" + String(repeating: layer + ",", count: count - 1) + layer + "]"
            return HostileFile(name: "\(count) of \(layer)", schema: schema, layers: layers, mayBeRead: true)
        }
    }

    static func all() -> [HostileFile] { crowds(schema: 2) + (1...2).flatMap { sparse(schema: $0) + dense(schema: $0) + images(schema: $0) } }
}

@Suite struct HostileDeployedTests {
    @Test func hostileFilesAreRefused() throws {
        try withTemporaryFolder { folder in
            for hostile in HostileFile.all() {
                let path = "\(folder)/hostile.safetensors"
                try hostile.write(to: path)
                do {
                    _ = try DeployedModel.read(from: path)
                    #expect(hostile.mayBeRead, "schema \(hostile.schema): \(hostile.name) was read")
                } catch let error as ModelFileError {
                    expectGoodMessage(error, path: path)
                }
            }
        }
    }

    #if os(Linux)
        /// Reads each in a process of its own and looks at the most memory that it had: within 16 times the bytes of the file and 64 MB.
        @Test func hostileFilesTakeLittleMemory() async throws {
            let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                func kilobytes(_ field: String) throws -> Int {
                    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
                    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(field) })
                    return try #require(Int(line.filter(\.isNumber)))
                }
                let path = NSTemporaryDirectory() + "hostile-\(UUID().uuidString).safetensors"
                defer { try? FileManager.default.removeItem(atPath: path) }
                for hostile in HostileFile.all() {
                    try hostile.write(to: path)
                    let size = try #require(FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
                    // Sets the peak back to what is in use now.
                    try "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
                    let before = try kilobytes("VmRSS")
                    _ = try? DeployedModel.read(from: path)
                    let taken = try kilobytes("VmHWM") - before, allowed = (16 * size + 64 << 20) / 1024
                    print("schema \(hostile.schema), \(hostile.name): \(size) bytes take \(taken) kB of \(allowed)")
                    guard taken <= allowed else { exit(1) }
                }
            }
            print(String(decoding: try #require(result).standardOutputContent, as: UTF8.self))
        }
    #endif
}
