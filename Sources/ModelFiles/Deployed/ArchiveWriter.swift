internal import CompactNumerics

/// Takes a layer apart for a file: its description, and its tensors by name.
internal struct ArchiveWriter: TensorArchiveWriter {
    /// Before the names of tensors: "3." or "3.linear.".
    private let prefix: String
    private(set) var node = ArchiveNode()
    private(set) var tensors: [(name: String, bytes: [UInt8])] = []

    /// - Throws: `NumericsError.unknown` for a layer that is no `CodableLayer`, and its errors.
    init(_ layer: any Layer, prefix: String) throws(NumericsError) {
        self.prefix = prefix
        guard let layer = layer as? any CodableLayer else {
            throw .unknown(what: "layer", allowed: ["a CodableLayer"], found: "\(type(of: layer))")
        }
        node.kind = type(of: layer).kind
        try layer.encode(into: &self)
    }

    mutating func put(_ value: ArchiveValue, named name: String) {
        checkFree(name)
        node.fields[name] = value
    }

    mutating func put(bytes: [UInt8], named name: String) {
        if !bytes.isEmpty { tensors.append((prefix + name, bytes)) }
    }

    mutating func put(layer: any Layer, named name: String) throws(NumericsError) {
        checkFree(name)
        let inner = try ArchiveWriter(layer, prefix: "\(prefix)\(name).")
        node.layers[name] = inner.node
        tensors += inner.tensors
    }

    private func checkFree(_ name: String) {
        trapUnless(
            name != "kind" && name != "name" && node.fields[name] == nil && node.layers[name] == nil,
            "field of a layer: expected a name that is free, found \(name)")
    }
}
