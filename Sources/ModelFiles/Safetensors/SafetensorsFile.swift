public import CompactNumerics

// The format is little-endian, and so is every platform that Swift runs on.
#if _endian(big)
    #error("SafetensorsFile reads numbers without swapping their bytes")
#endif

/// A safetensors file, open for reading. Opening it reads and checks the header; tensors are read when asked for.
///
/// Every rule of the format is checked, so a file that opens can be read without surprises: names occur once, shapes and
/// offsets agree, and each byte of the data belongs to exactly one tensor. The data may begin at any byte.
public struct SafetensorsFile: Sendable {
    public let path: String
    /// What the file holds, in the order of the data.
    public let tensors: [TensorDescription]
    /// The free text of `__metadata__`; empty if there is none.
    public let metadata: [String: String]

    private let file: InputFile
    private let dataStart: Int
    private let indices: [String: Int]

    /// Opens a file.
    ///
    /// - Throws: `ModelFileError` if it cannot be read or breaks a rule of the format.
    public init(path: String) throws(ModelFileError) {
        file = try InputFile(path: path)
        let header = try SafetensorsHeader(of: file)
        self.path = path
        tensors = header.tensors
        metadata = header.metadata
        dataStart = header.dataStart
        indices = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
    }

    /// The tensor of that name.
    ///
    /// - Throws: `ModelFileError` of kind `mismatch` if there is none.
    public func tensor(named name: String) throws(ModelFileError) -> TensorDescription {
        guard let index = indices[name] else {
            throw ModelFileError(
                .mismatch, path: path, what: "tensor \(name.quoted)", expected: "one of the file's \(tensors.count) tensors",
                found: "no such name")
        }
        return tensors[index]
    }

    /// The bytes of a tensor of any type, as they are in the file: little-endian, the last dimension fastest.
    public func bytes(named name: String) throws(ModelFileError) -> [UInt8] {
        let tensor = try tensor(named: name)
        return try file.bytes(at: dataStart + tensor.offset, count: tensor.byteCount)
    }

    /// The elements of a tensor of any shape as float32, the last dimension fastest.
    ///
    /// F16, BF16, I8 and U8 convert exactly; I32 and I64 round to nearest, ties to even.
    ///
    /// - Throws: `ModelFileError`, of kind `unsupported` for other types.
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
        let tensor = try readableTensor(named: name)
        guard tensor.shape.count == 2 else {
            throw ModelFileError(
                .mismatch, path: path, what: "tensor \(name.quoted)", expected: "two dimensions", found: "\(tensor.shape.count)")
        }
        return try Matrix(rows: tensor.shape[0], columns: tensor.shape[1]) { (buffer) throws(ModelFileError) in
            try read(tensor, into: buffer)
        }
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

    private func read(_ tensor: TensorDescription, into destination: UnsafeMutableBufferPointer<Float>) throws(ModelFileError) {
        switch tensor.type {
        case .f32:
            try file.read(into: UnsafeMutableRawBufferPointer(destination), at: dataStart + tensor.offset)
        case .f16:
            try readChunks(tensor, into: destination) { (source: Span<FP16>, target) in FP16.widen(source, into: &target) }
        case .bf16:
            try readChunks(tensor, into: destination) { (source: Span<BF16>, target) in BF16.widen(source, into: &target) }
        case .i8: try readIntegers(Int8.self, tensor, into: destination)
        case .u8: try readIntegers(UInt8.self, tensor, into: destination)
        case .i32: try readIntegers(Int32.self, tensor, into: destination)
        case .i64: try readIntegers(Int64.self, tensor, into: destination)
        default: trap("read of \(tensor.type.rawValue): expected a readable type")
        }
    }

    private func readIntegers<Stored: BinaryInteger & BitwiseCopyable>(
        _: Stored.Type, _ tensor: TensorDescription, into destination: UnsafeMutableBufferPointer<Float>
    ) throws(ModelFileError) {
        try readChunks(tensor, into: destination) { (source: Span<Stored>, target) in
            for index in 0..<source.count { target[index] = Float(source[index]) }
        }
    }

    /// Reads elements as `Stored` into a scratch buffer, which is aligned whatever the file is, and converts them from there.
    private func readChunks<Stored: BitwiseCopyable>(
        _ tensor: TensorDescription, into destination: UnsafeMutableBufferPointer<Float>,
        convert: (Span<Stored>, inout MutableSpan<Float>) -> Void
    ) throws(ModelFileError) {
        var scratch = AlignedBuffer<Stored>(count: min(tensor.count, 1 << 16))
        var done = 0
        while done < tensor.count {
            let count = min(scratch.count, tensor.count - done)
            let offset = dataStart + tensor.offset + done * MemoryLayout<Stored>.stride
            try scratch.withUnsafeMutableBufferPointer { (buffer) throws(ModelFileError) in
                try file.read(into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count])), at: offset)
            }
            var target = UnsafeMutableBufferPointer(rebasing: destination[done..<done + count]).mutableSpan
            convert(scratch.span.extracting(0..<count), &target)
            done += count
        }
    }
}
