// How layers are kept in files: a layer puts named fields, tensors and the layers that it is made of into an archive, and is made again from one.
// What an archive is made of is up to who implements these protocols; ModelFiles does with safetensors files.

/// The part of an archive that a layer puts itself into.
public protocol TensorArchiveWriter {
    /// Keeps a field. Names of fields, tensors and layers are the layer's own; each is used once.
    mutating func put(_ value: ArchiveValue, named name: String)
    /// Keeps the bytes of a tensor. None are not kept: an absent tensor reads as an empty one.
    mutating func put(bytes: [UInt8], named name: String)
    /// Keeps a layer that this one is made of.
    ///
    /// - Throws: `NumericsError.unknown` for a layer that is no `CodableLayer`, and its errors.
    mutating func put(layer: any Layer, named name: String) throws(NumericsError)
}

/// The part of an archive that a layer is made from.
public protocol TensorArchiveReader {
    /// The field, nil where there is none.
    func value(named name: String) -> ArchiveValue?
    /// The bytes of a tensor, none where there is none.
    ///
    /// - Throws: `NumericsError` if they cannot be read or exceed the memory that reading may take.
    func bytes(named name: String) throws(NumericsError) -> [UInt8]
    /// A layer that this one is made of.
    ///
    /// - Throws: `NumericsError` where there is none, and its errors.
    func layer(named name: String) throws(NumericsError) -> any Layer
    /// Announces `bytes` of memory, before they are allocated: arrays made of tensors, packed weights. What was charged while a layer is made
    /// is given back when it is complete; then it counts by its `byteCount`.
    ///
    /// - Throws: `NumericsError.outOfRange` where they exceed the memory that reading may take.
    func charge(_ bytes: Int) throws(NumericsError)
}

/// A layer that files can hold.
public protocol CodableLayer: Layer {
    /// The name of the layer's kind, which files know it by.
    static var kind: String { get }
    /// Puts all that the layer is made of into an archive.
    func encode(into archive: inout some TensorArchiveWriter) throws(NumericsError)
    /// The layer that was put into an archive. Archives come from outside: what they hold is checked.
    init(from archive: some TensorArchiveReader) throws(NumericsError)
}

/// The kinds of layers of this package: to add one, list it here.
public enum LayerKinds {
    public static let all: [any CodableLayer.Type] = [
        Linear.self, HalfLinear.self, QuantizedLinear.self, WeightOnlyLinear.self, SparseLinear.self, NMSparseLinear.self, Convolution.self,
        MaxPool.self, AveragePool.self, ScaleShift.self, ReLU.self,
    ]
}
