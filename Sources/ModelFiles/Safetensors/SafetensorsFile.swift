public import CompactNumerics

// The format is little-endian, and so is every platform that Swift runs on.
#if _endian(big)
    #error("SafetensorsFile reads numbers without swapping their bytes")
#endif

/// A safetensors file, open for reading. Opening it reads and checks the header; tensors are read when asked for.
///
/// Every rule of the format is checked, so a file that opens can be read without surprises: names occur once, shapes and
/// offsets agree, and each byte of the data belongs to exactly one tensor. The data may begin at any byte. Names are the same
/// if their UTF-8 is: two spellings of é are two names.
public struct SafetensorsFile: Sendable {
    public let path: String
    /// What the file holds, in the order of the data.
    public let tensors: [TensorDescription]
    /// The free text of `__metadata__`; empty if there is none.
    public let metadata: SafetensorsMetadata

    internal let file: InputFile
    internal let dataStart: Int
    private let positions: [UTF8Name: Int]

    /// Opens a file. Time and memory are linear in the header, which has at most 100 MB.
    ///
    /// - Throws: `ModelFileError` if it cannot be read or breaks a rule of the format.
    public init(path: String) throws(ModelFileError) {
        file = try InputFile(path: path)
        let header = try SafetensorsHeader(of: file)
        self.path = path
        (tensors, positions, metadata, dataStart) = (header.tensors, header.positions, header.metadata, header.dataStart)
    }

    /// Whether the file has a tensor of that name.
    public func contains(_ name: String) -> Bool {
        positions[UTF8Name(name)] != nil
    }

    /// Bytes of the tensor of that name; nil if there is none.
    internal func byteCount(named name: String) -> Int? {
        positions[UTF8Name(name)].map { tensors[$0].byteCount }
    }

    /// The tensor of that name.
    ///
    /// - Throws: `ModelFileError` of kind `mismatch` if there is none.
    public func tensor(named name: String) throws(ModelFileError) -> TensorDescription {
        guard let position = positions[UTF8Name(name)] else {
            throw ModelFileError(
                .mismatch, path: path, what: "tensor \(name.quoted)", expected: "one of the file's \(tensors.count) tensors",
                found: "no such name")
        }
        return tensors[position]
    }

    /// The bytes of a tensor of any type, as they are in the file: little-endian, the last dimension fastest.
    public func bytes(named name: String) throws(ModelFileError) -> [UInt8] {
        let tensor = try tensor(named: name)
        return try file.bytes(at: dataStart + tensor.offset, count: tensor.byteCount)
    }

    /// The elements of a tensor of any shape as float32, the last dimension fastest.
    ///
    /// Floats of at most 32 bits and integers of at most 16 convert exactly; BOOL gives 0 and 1. F64 and integers of 32 and 64 bits round to
    /// nearest, ties to even, beyond float32's range to infinity; `changedCount(named:)` says how many elements that changes. FP8 is as OCP
    /// has it (8-bit Floating Point Specification 1.0: E4M3 without infinity, E5M2), the FNUZ variants as torch has them, E8M0 a power of two.
    ///
    /// - Throws: `ModelFileError`, of kind `unsupported` for other types, `malformed` for a BOOL that is neither 0 nor 1.
    public func floats(named name: String) throws(ModelFileError) -> [Float] {
        let tensor = try readableTensor(named: name)
        var failure: ModelFileError?
        let floats = [Float](unsafeUninitializedCapacity: tensor.count) { buffer, initialized in
            do throws(ModelFileError) {
                try read(tensor, into: UnsafeMutableBufferPointer(rebasing: buffer[..<tensor.count]))
                initialized = tensor.count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return floats
    }

    /// A two-dimensional tensor as a matrix: shape [rows, columns]. Elements convert as in `floats(named:)`.
    ///
    /// - Throws: `ModelFileError`, of kind `mismatch` unless the tensor has two dimensions, `unsupported` for other types.
    public func matrix(named name: String) throws(ModelFileError) -> Matrix {
        let tensor = try tensor(named: name)
        guard tensor.shape.count == 2 else {
            throw ModelFileError(
                .mismatch, path: path, what: "tensor \(name.quoted)", expected: "two dimensions", found: "\(tensor.shape.count)")
        }
        return try matrix(named: name, as: .firstByRest)
    }

    /// A tensor of any rank as a matrix: shape as `view` has it. Elements convert as in `floats(named:)`.
    ///
    /// - Throws: `ModelFileError`, of kind `mismatch` if the tensor has another number of elements, `unsupported` for types without numbers.
    public func matrix(named name: String, as view: MatrixView) throws(ModelFileError) -> Matrix {
        let tensor = try readableTensor(named: name)
        guard let (rows, columns) = view.sizes(shape: tensor.shape) else {
            throw ModelFileError(
                .mismatch, path: path, what: "tensor \(name.quoted) as \(view)", expected: "as many elements as its shape \(tensor.shape) has",
                found: "another number")
        }
        return try Matrix(rows: rows, columns: columns) { (buffer) throws(ModelFileError) in
            try read(tensor, into: buffer)
        }
    }

    /// How many elements of a tensor float32 does not hold, so that `floats(named:)` and `matrix(named:)` change their value. NaN stays NaN
    /// and does not count.
    ///
    /// - Throws: `ModelFileError`, of kind `unsupported` for types without numbers.
    public func changedCount(named name: String) throws(ModelFileError) -> Int {
        try changedCount(of: readableTensor(named: name))
    }

    private func readableTensor(named name: String) throws(ModelFileError) -> TensorDescription {
        let tensor = try tensor(named: name)
        guard tensor.type.isReadable else {
            let readable = TensorType.allCases.filter(\.isReadable).map(\.rawValue).joined(separator: ", ")
            throw ModelFileError(
                .unsupported, path: path, what: "tensor \(name.quoted)", expected: "a dtype of \(readable)", found: tensor.type.rawValue)
        }
        return tensor
    }
}
