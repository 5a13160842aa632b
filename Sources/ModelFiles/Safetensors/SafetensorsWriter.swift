public import CompactNumerics

/// A tensor to be written: name, type, shape and what it holds.
public struct TensorContent: Sendable {
    public let name: String
    public let type: TensorType
    /// Sizes from the slowest to the fastest dimension; [] is a scalar.
    public let shape: [Int]
    fileprivate let payload: Payload

    fileprivate enum Payload {
        case bytes([UInt8])
        case matrix(Matrix)
    }

    /// Bytes as they shall be in the file: little-endian, the last dimension fastest. That there are as many as `type` and
    /// `shape` demand is checked when they are written.
    public init(name: String, type: TensorType, shape: [Int], bytes: [UInt8]) {
        self.name = name
        self.type = type
        self.shape = shape
        payload = .bytes(bytes)
    }

    /// A matrix, as float32.
    public init(name: String, matrix: Matrix) {
        self.init(name: name, matrix: matrix, type: .f32)
    }

    /// A matrix, each element rounded to FP16.
    public static func fp16(name: String, matrix: Matrix) -> TensorContent {
        TensorContent(name: name, matrix: matrix, type: .f16)
    }

    /// A matrix, each element rounded to BF16.
    public static func bf16(name: String, matrix: Matrix) -> TensorContent {
        TensorContent(name: name, matrix: matrix, type: .bf16)
    }

    private init(name: String, matrix: Matrix, type: TensorType) {
        self.name = name
        self.type = type
        shape = [matrix.rows, matrix.columns]
        payload = .matrix(matrix)
    }
}

extension SafetensorsFile {
    /// Writes a file that holds `tensors`, those with the widest elements first, so that all are aligned to their elements.
    ///
    /// The file appears at `path` when it is complete, or not at all; one that was there stays until then. Names are compared by their UTF-8.
    ///
    /// - Throws: `ModelFileError` of kind `mismatch` for a name that occurs twice or is `__metadata__`, or bytes that do not
    ///   fit type and shape; `unwritable` if the system refuses.
    public static func write(
        _ tensors: [TensorContent], metadata: SafetensorsMetadata = SafetensorsMetadata(), to path: String
    ) throws(ModelFileError) {
        let ordered = tensors.sorted {
            $0.type.bitWidth == $1.type.bitWidth ? $0.name.precedesInBytes($1.name) : $0.type.bitWidth > $1.type.bitWidth
        }
        let header = try header(of: ordered, metadata: metadata, path: path)
        let output = try OutputFile(path: path)
        try output.write(withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) })
        try output.write(header)
        for tensor in ordered { try write(tensor, to: output) }
        try output.commit()
    }

    /// The same with metadata in a dictionary.
    public static func write(_ tensors: [TensorContent], metadata: [String: String], to path: String) throws(ModelFileError) {
        try write(tensors, metadata: SafetensorsMetadata(metadata), to: path)
    }

    private static func header(
        of tensors: [TensorContent], metadata: SafetensorsMetadata, path: String
    ) throws(ModelFileError) -> [UInt8] {
        var header = HeaderText()
        if !metadata.isEmpty { header.add(metadata) }
        var names = Set<UTF8Name>(), end = 0
        for tensor in tensors {
            func mismatch(_ expected: String, _ found: String) -> ModelFileError {
                ModelFileError(.mismatch, path: path, what: "tensor \(tensor.name.quoted)", expected: expected, found: found)
            }
            guard names.insert(UTF8Name(tensor.name)).inserted, !tensor.name.hasBytes(of: SafetensorsHeader.metadataName) else {
                throw mismatch("a name that is free", "one in use")
            }
            guard let byteCount = tensor.type.byteCount(shape: tensor.shape) else {
                throw mismatch("a shape of whole bytes that an Int can count", "\(tensor.type.rawValue) \(tensor.shape)")
            }
            if case .bytes(let bytes) = tensor.payload, bytes.count != byteCount {
                throw mismatch("\(byteCount) bytes for \(tensor.type.rawValue) \(tensor.shape)", "\(bytes.count)")
            }
            // Matrices are held in memory, bytes were counted: the sum cannot pass Int.max.
            header.add(tensor, data: end..<end + byteCount)
            end += byteCount
        }
        let bytes = header.finish()
        guard bytes.count <= SafetensorsHeader.largestLength else {
            throw ModelFileError(
                .mismatch, path: path, what: "header", expected: "at most \(SafetensorsHeader.largestLength) bytes", found: "\(bytes.count)")
        }
        return bytes
    }

    private static func write(_ tensor: TensorContent, to output: borrowing OutputFile) throws(ModelFileError) {
        switch (tensor.payload, tensor.type) {
        case (.bytes(let bytes), _):
            try output.write(bytes)
        case (.matrix(let matrix), .f16):
            try writeChunks(of: matrix, to: output) { source, target in FP16.round(source, into: &target) }
        case (.matrix(let matrix), .bf16):
            try writeChunks(of: matrix, to: output) { source, target in BF16.round(source, into: &target) }
        case (.matrix(let matrix), _):
            try matrix.withUnsafeBufferPointer { (floats) throws(ModelFileError) in
                try output.write(UnsafeRawBufferPointer(floats))
            }
        }
    }

    private static func writeChunks<Stored: ReducedFloat>(
        of matrix: Matrix, to output: borrowing OutputFile, round: (Span<Float>, inout MutableSpan<Stored>) -> Void
    ) throws(ModelFileError) {
        var done = 0
        while done < matrix.count {
            let count = min(1 << 16, matrix.count - done)
            var scratch = AlignedBuffer<Stored>(count: count)
            var target = scratch.mutableSpan
            round(matrix.span.extracting(done..<done + count), &target)
            try scratch.withUnsafeBufferPointer { (buffer) throws(ModelFileError) in
                try output.write(UnsafeRawBufferPointer(buffer))
            }
            done += count
        }
    }
}
