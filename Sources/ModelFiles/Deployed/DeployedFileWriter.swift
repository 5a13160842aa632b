internal import CompactNumerics
internal import Foundation

/// Writes layers to a deployed network's file.
internal struct DeployedFileWriter {
    let path: String
    let deflates: Bool

    /// A tensor before it is written.
    private struct Tensor {
        let name: String
        let bytes: [UInt8]
        /// Shorter than `bytes`; nil where they are written as they are.
        var stream: [UInt8]?

        var stored: [UInt8] { stream ?? bytes }
        var saved: Int { bytes.count - stored.count }
    }

    func write(_ layers: [(name: String, layer: any Layer)]) throws(ModelFileError) {
        var nodes: [ArchiveNode] = [], tensors: [Tensor] = []
        for (index, (name, layer)) in layers.enumerated() {
            do throws(NumericsError) {
                let archive = try ArchiveWriter(layer, prefix: "\(index).")
                nodes.append(archive.node)
                if name != "\(index)" { nodes[index].name = name }
                for (name, bytes) in archive.tensors {
                    tensors.append(Tensor(name: name, bytes: bytes, stream: deflates ? Deflate.compressed(bytes) : nil))
                }
            } catch {
                throw unsupported("layer \(index)", "a layer that can be encoded, a CodableLayer", error.description)
            }
        }
        let description = try json(nodes)
        try makeReadable(&tensors, nodes, layers.map(\.layer), described: description.utf8.count + json(sizes(tensors)).utf8.count)
        let metadata = [
            "kind": DeployedModel.kind, "schema": "\(DeployedModel.schemas.upperBound)", "layout": DeployedModel.layout, "layers": description,
            "deflated": try json(sizes(tensors)),
        ]
        let contents = tensors.map { TensorContent(name: $0.name, type: .u8, shape: [$0.stored.count], bytes: $0.stored) }
        try SafetensorsFile.write(contents, metadata: metadata, to: path)
    }

    /// Of tensors that are deflated, before they were.
    private func sizes(_ tensors: [Tensor]) -> [String: Int] {
        Dictionary(uniqueKeysWithValues: tensors.filter { $0.stream != nil }.map { ($0.name, $0.bytes.count) })
    }

    /// Leaves tensors as they are, those that deflating shortened most first, until what reading takes is within its limit for the bytes of the file.
    private func makeReadable(
        _ tensors: inout [Tensor], _ nodes: [ArchiveNode], _ layers: [any Layer], described: Int
    ) throws(ModelFileError) {
        let needed = try memoryForReading(tensors, nodes, layers, described: described)
        var stored = tensors.reduce(described) { $0 + $1.stored.count }
        for index in tensors.indices.sorted(by: { tensors[$0].saved > tensors[$1].saved }) {
            if needed <= ReadingBudget.limit(storedBytes: stored) { return }
            stored += tensors[index].saved
            tensors[index].stream = nil
        }
        let limit = ReadingBudget.limit(storedBytes: stored)
        guard needed <= limit else {
            throw unsupported("network", "layers that can be read within \(limit) bytes, 16 times those of the file and 64 MB", "\(needed)")
        }
    }

    /// Reads every layer as the reader will, and so finds what it takes; what cannot be read is not written.
    private func memoryForReading(
        _ tensors: [Tensor], _ nodes: [ArchiveNode], _ layers: [any Layer], described: Int
    ) throws(ModelFileError) -> Int {
        let places = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) }), budget = ReadingBudget(limit: .max)
        let source = ArchiveTensors(
            sizes: { name in places[name].map { (tensors[$0].stored.count, tensors[$0].stream == nil ? nil : tensors[$0].bytes.count) } },
            load: { (name) throws(ModelFileError) in places[name].map { tensors[$0].bytes } ?? [] })
        let context = ArchiveContext(source, budget: budget, kinds: layers.flatMap(kinds))
        for (index, node) in nodes.enumerated() {
            do throws(NumericsError) {
                if index == 0 { try budget.complete(byteCount: ReadingBudget.bytesPerDescribedByte * described) }
                let layer = try context.layer(node, prefix: "\(index).")
                try budget.complete(byteCount: layer.byteCount)
            } catch {
                throw unsupported("layer \(index)", "a layer that can be read again", error.description)
            }
        }
        return budget.peak
    }

    private func kinds(_ layer: any Layer) -> [any CodableLayer.Type] {
        let inner = (layer as? Convolution).map { kinds($0.linear) } ?? []
        return ((layer as? any CodableLayer).map { [type(of: $0)] } ?? []) + inner
    }

    private func json(_ value: some Encodable) throws(ModelFileError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            throw unsupported("description of the layers", "numbers that JSON holds", "\(error)")
        }
    }

    private func unsupported(_ what: String, _ expected: String, _ found: String) -> ModelFileError {
        ModelFileError(.unsupported, path: path, what: what, expected: expected, found: found)
    }
}
