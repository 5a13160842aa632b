public import CompactNumerics
internal import Foundation

/// A deployed network in a file: a safetensors file whose metadata describes the layers, and whose tensors hold their numbers in the bits that they
/// need, deflated where that is shorter. Loading gives the same network, bit for bit.
///
/// Reading takes at most 16 times the bytes of the file + 64 MB, the layers included; what would take more is refused. Whatever is written can be read.
///
/// Metadata: `kind`, `schema` (2), `layout` (how tensors hold weights: `row-major`, also where it is missing), `layers` (a list of objects: the layer's
/// kind, its fields, the layers that it is made of), `deflated` (the sizes of tensors before they were deflated). Tensors are called layer.name,
/// "3.codes". Files of schema 1 are read as well.
public enum DeployedModel {
    internal static let kind = "swift-model-compression deployed network"
    internal static let schemas = 1...2
    /// How tensors hold weights: codes and numbers of an output side by side, as the layers' codings say; no kernel's layout. Another name is refused.
    internal static let layout = "row-major"

    /// Writes `network` to `path`; it appears complete or not at all.
    ///
    /// - Parameter deflates: whether tensors are deflated where that is shorter; never without zlib.
    /// - Throws: `ModelFileError` of kind `unsupported` for a layer that is no `CodableLayer` or holds what cannot be read again, `unwritable` if the
    ///   system refuses.
    public static func write(_ network: Sequential, to path: String, deflates: Bool = true) throws(ModelFileError) {
        try DeployedFileWriter(path: path, deflates: deflates).write(Array(zip(network.names, network.layers)))
    }

    /// The network in the file at `path`.
    ///
    /// - Parameter kinds: of layers, beyond those of this package, that the file may hold.
    /// - Throws: `ModelFileError` if it cannot be read, is no such file, contradicts itself or needs more memory than it may.
    public static func read(from path: String, kinds: [any CodableLayer.Type] = []) throws(ModelFileError) -> Sequential {
        let layers = try DeployedFileReader(path: path, kinds: kinds).layers()
        do {
            return try Sequential(layers.map(\.layer), names: layers.map(\.name))
        } catch {
            throw ModelFileError(.malformed, path: path, what: "layers", expected: "layers that fit", found: error.description)
        }
    }

    // MARK: - Networks of any shape

    /// Writes the linear layers of any network, by name, to `path`. The network itself, a struct, is not in the file: it reads them again with
    /// `read(into:from:kinds:)`.
    ///
    /// - Throws: as for a `Sequential`.
    public static func write(layersOf network: some Network, to path: String, deflates: Bool = true) throws(ModelFileError) {
        try DeployedFileWriter(path: path, deflates: deflates).write(network.linearLayers.map { ($0.name, $0.layer) })
    }

    /// `network` with the linear layers in the file at `path` in place of its own.
    ///
    /// - Throws: `ModelFileError` of kind `mismatch` where the file lacks a layer of the network, has one that it does not have, or one of another
    ///   shape; and as for a `Sequential`.
    public static func read<Model: Network>(
        into network: Model, from path: String, kinds: [any CodableLayer.Type] = []
    ) throws(ModelFileError) -> Model {
        var found: [String: any Layer] = [:]
        for (name, layer) in try DeployedFileReader(path: path, kinds: kinds).layers() { found[name] = layer }
        func mismatch(_ what: String, _ expected: String, _ found: String) -> ModelFileError {
            ModelFileError(.mismatch, path: path, what: what, expected: expected, found: found)
        }
        var layers: [String: any LinearLayer] = [:]
        for own in network.linearLayers {
            let shape = "a linear layer [\(own.layer.outputs), \(own.layer.inputs)]", what = "layer \(own.name.quoted)"
            guard let layer = found.removeValue(forKey: own.name) else { throw mismatch(what, shape, "none") }
            guard let linear = layer as? any LinearLayer else { throw mismatch(what, shape, "\(type(of: layer))") }
            guard linear.outputs == own.layer.outputs, linear.inputs == own.layer.inputs else {
                throw mismatch(what, shape, "[\(linear.outputs), \(linear.inputs)]")
            }
            layers[own.name] = linear
        }
        if let extra = found.keys.min() { throw mismatch("layer \(extra.quoted)", "layers of the network alone", "another one") }
        do {
            return try network.replacingLinearLayers { layers[$0.name] ?? $0.layer }
        } catch {
            throw mismatch("network", "a network that takes these layers", "\(error)")
        }
    }
}
