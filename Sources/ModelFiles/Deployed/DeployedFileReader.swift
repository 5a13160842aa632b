internal import CompactNumerics
internal import Foundation

/// Reads the layers of a deployed network's file.
internal struct DeployedFileReader {
    private let file: SafetensorsFile
    private let schema: Int
    private let nodes: [ArchiveNode]
    private let sizes: [String: Int]
    private let budget: ReadingBudget
    private let kinds: [any CodableLayer.Type]

    init(path: String, kinds: [any CodableLayer.Type]) throws(ModelFileError) {
        let file = try SafetensorsFile(path: path)
        schema = try Self.schema(of: file)
        try Self.checkLayout(of: file)
        let layers = Data((file.metadata["layers"] ?? "").utf8), deflated = Data((file.metadata["deflated"] ?? "").utf8)
        let described = layers.count + deflated.count, stored = file.tensors.reduce(described) { $0 + $1.byteCount }
        budget = ReadingBudget(limit: ReadingBudget.limit(storedBytes: stored))
        do {
            try budget.complete(byteCount: ReadingBudget.bytesPerDescribedByte * described)
            nodes = try JSONDecoder().decode([ArchiveNode].self, from: layers)
            sizes = try JSONDecoder().decode([String: Int].self, from: deflated)
        } catch {
            let found = (error as? NumericsError)?.description ?? "something else"
            throw ModelFileError(.malformed, path: path, what: "description of the layers", expected: "a list of layers", found: found)
        }
        (self.file, self.kinds) = (file, kinds)
    }

    /// Schema 1 had its number in the kind.
    private static func schema(of file: SafetensorsFile) throws(ModelFileError) -> Int {
        if file.metadata.holds("\(DeployedModel.kind) 1", named: "kind") { return 1 }
        guard file.metadata.holds(DeployedModel.kind, named: "kind") else {
            throw ModelFileError(
                .mismatch, path: file.path, what: "kind of file", expected: DeployedModel.kind, found: file.metadata["kind"]?.quoted ?? "none")
        }
        let text = file.metadata["schema"], schemas = DeployedModel.schemas
        guard let schema = text.flatMap({ Int($0) }), schemas.contains(schema) else {
            throw ModelFileError(
                .unsupported, path: file.path, what: "schema of a deployed network",
                expected: "\(schemas.lowerBound) to \(schemas.upperBound), which this version reads", found: text?.quoted ?? "none")
        }
        return schema
    }

    /// Files of before layouts had names hold the one that there was.
    private static func checkLayout(of file: SafetensorsFile) throws(ModelFileError) {
        guard let layout = file.metadata["layout"], !file.metadata.holds(DeployedModel.layout, named: "layout") else { return }
        throw ModelFileError(
            .unsupported, path: file.path, what: "layout of weights", expected: DeployedModel.layout.quoted, found: layout.quoted)
    }

    /// The layers with their names.
    func layers() throws(ModelFileError) -> [(name: String, layer: any Layer)] {
        let context = ArchiveContext(source, budget: budget, kinds: kinds)
        var layers: [(name: String, layer: any Layer)] = [], names = Set<String>()
        for (index, node) in nodes.enumerated() {
            do throws(NumericsError) {
                let prefix = "\(index).", name = node.name ?? "\(index)"
                let layer = try schema == 1 ? SchemaOne.layer(node, prefix: prefix, context) : context.layer(node, prefix: prefix)
                try budget.complete(byteCount: layer.byteCount)
                guard names.insert(name).inserted else {
                    throw .invalidStructure(what: "names of layers", expected: "each name once", found: name.quoted)
                }
                layers.append((name, layer))
            } catch {
                throw context.failure ?? malformed("layer \(index)", "numbers that fit its description", error.description)
            }
        }
        let used = Set(context.used.map(UTF8Name.init))
        if let unused = file.tensors.first(where: { !used.contains(UTF8Name($0.name)) }) {
            throw malformed("tensor \(unused.name.quoted)", "one that a layer has", "one that none has")
        }
        return layers
    }

    private var source: ArchiveTensors {
        ArchiveTensors(
            sizes: { name in file.byteCount(named: name).map { ($0, sizes[name]) } },
            load: { (name) throws(ModelFileError) in
                let bytes = try file.bytes(named: name)
                guard let size = sizes[name] else { return bytes }
                return try Deflate.decompressed(bytes, count: size, path: file.path, what: "tensor \(name.quoted)")
            })
    }

    private func malformed(_ what: String, _ expected: String, _ found: String) -> ModelFileError {
        ModelFileError(.malformed, path: file.path, what: what, expected: expected, found: found)
    }
}
