internal import CompactNumerics

/// The tensors of a file that is being read, or of one that is being written and is to be readable.
internal struct ArchiveTensors {
    /// Stored bytes of a tensor, and of what it was deflated from; nil where there is no such tensor.
    let sizes: (String) -> (stored: Int, inflated: Int?)?
    /// The bytes themselves, inflated.
    let load: (String) throws(ModelFileError) -> [UInt8]
}

/// What the layers of a file have in common while they are read.
internal final class ArchiveContext {
    let tensors: ArchiveTensors
    let budget: ReadingBudget
    let kinds: [String: any CodableLayer.Type]
    /// What went wrong with the file itself; layers see only that reading failed.
    fileprivate(set) var failure: ModelFileError?
    private(set) var used: Set<String> = []

    /// - Parameter kinds: beyond those of this package.
    init(_ tensors: ArchiveTensors, budget: ReadingBudget, kinds: [any CodableLayer.Type]) {
        (self.tensors, self.budget) = (tensors, budget)
        self.kinds = Dictionary((LayerKinds.all + kinds).map { ($0.kind, $0) }) { _, later in later }
    }

    /// The layer that `node` describes, whose tensors are named `prefix`….
    func layer(_ node: ArchiveNode, prefix: String) throws(NumericsError) -> any Layer {
        guard let kind = kinds[node.kind] else {
            throw .unknown(what: "kind of layer", allowed: kinds.keys.sorted(), found: node.kind.quoted)
        }
        return try kind.init(from: ArchiveReader(node: node, prefix: prefix, context: self))
    }

    fileprivate func bytes(named name: String) throws(NumericsError) -> [UInt8] {
        guard let (stored, inflated) = tensors.sizes(name) else { return [] }
        used.insert(name)
        try budget.charge(stored)
        if let inflated {
            guard inflated >= 0 else { throw .outOfRange(what: "deflated bytes", allowed: "at least 0", found: "\(inflated)") }
            try budget.charge(inflated)
        }
        do throws(ModelFileError) {
            return try tensors.load(name)
        } catch {
            failure = error
            throw .invalidStructure(what: "tensor", expected: error.expected, found: error.found)
        }
    }
}

/// One layer of a file.
internal struct ArchiveReader: TensorArchiveReader {
    let node: ArchiveNode
    let prefix: String
    let context: ArchiveContext

    func value(named name: String) -> ArchiveValue? { node.fields[name] }
    func bytes(named name: String) throws(NumericsError) -> [UInt8] { try context.bytes(named: prefix + name) }
    func charge(_ bytes: Int) throws(NumericsError) { try context.budget.charge(bytes) }

    func layer(named name: String) throws(NumericsError) -> any Layer {
        guard let inner = node.layers[name] else { throw .invalidStructure(what: "layer \(name)", expected: "a description", found: "none") }
        return try context.layer(inner, prefix: "\(prefix)\(name).")
    }
}
