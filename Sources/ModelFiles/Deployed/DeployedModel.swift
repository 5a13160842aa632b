public import CompactNumerics
internal import Foundation

/// A deployed network in a file: a safetensors file whose metadata describes the layers and whose tensors hold their numbers in the bits that they
/// need, deflated where that is shorter. Loading gives the same network: integer weights and float weights bit for bit; scales of sparse int8
/// weights are derived again, within one unit in the last place.
public enum DeployedModel {
    private static let kind = "swift-model-compression deployed network 1"

    /// Writes `network` to `path`; it appears complete or not at all.
    ///
    /// - Throws: `ModelFileError` of kind `unsupported` for a layer of another kind than this package's, `unwritable` if the system refuses.
    public static func write(_ network: Sequential, to path: String) throws(ModelFileError) {
        var tensors: [TensorContent] = [], sizes: [String: Int] = [:], descriptions: [LayerDescription] = []
        for (index, layer) in network.layers.enumerated() {
            guard let (description, contents) = LayerCoding.encode(layer) else {
                throw ModelFileError(
                    .unsupported, path: path, what: "layer \(index)", expected: "a layer of this package", found: "\(type(of: layer))")
            }
            descriptions.append(description)
            for (name, bytes) in contents where !bytes.isEmpty {
                let full = "\(index).\(name)", stream = Deflate.compressed(bytes)
                if stream != nil { sizes[full] = bytes.count }
                tensors.append(TensorContent(name: full, type: .u8, shape: [(stream ?? bytes).count], bytes: stream ?? bytes))
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let layers = try? encoder.encode(descriptions), let deflated = try? encoder.encode(sizes) else {
            throw ModelFileError(.unwritable, path: path, what: "description of the layers", expected: "numbers that JSON holds", found: "others")
        }
        let metadata = ["kind": kind, "layers": String(decoding: layers, as: UTF8.self), "deflated": String(decoding: deflated, as: UTF8.self)]
        try SafetensorsFile.write(tensors, metadata: metadata, to: path)
    }

    /// The network in the file at `path`.
    ///
    /// - Throws: `ModelFileError` if it cannot be read, is no such file, or contradicts itself.
    public static func read(from path: String) throws(ModelFileError) -> Sequential {
        let file = try SafetensorsFile(path: path)
        func malformed(_ what: String, _ expected: String, _ found: String) -> ModelFileError {
            ModelFileError(.malformed, path: path, what: what, expected: expected, found: found)
        }
        guard file.metadata.holds(kind, named: "kind") else {
            throw ModelFileError(.mismatch, path: path, what: "kind of file", expected: kind, found: file.metadata["kind"]?.quoted ?? "none")
        }
        let decoder = JSONDecoder()
        guard let descriptions = try? decoder.decode([LayerDescription].self, from: Data((file.metadata["layers"] ?? "").utf8)),
            let sizes = try? decoder.decode([String: Int].self, from: Data((file.metadata["deflated"] ?? "").utf8))
        else { throw malformed("description of the layers", "a list of layers", "something else") }
        var layers: [any Layer] = []
        for (index, description) in descriptions.enumerated() {
            do {
                layers.append(
                    try LayerCoding.decode(description) { name in
                        let full = "\(index).\(name)"
                        guard file.contains(full) else { return [] }
                        let bytes = try file.bytes(named: full)
                        guard let size = sizes[full] else { return bytes }
                        return try Deflate.decompressed(bytes, count: size, path: path, what: "tensor \(full.quoted)")
                    })
            } catch let error as ModelFileError {
                throw error
            } catch {
                throw malformed("layer \(index)", "numbers that fit its description", "\(error)")
            }
        }
        do {
            return try Sequential(layers)
        } catch {
            throw malformed("layers", "layers that fit", error.description)
        }
    }
}
