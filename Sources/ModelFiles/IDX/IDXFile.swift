public import CompactNumerics

/// An array from an IDX file, the format of MNIST, plain or compressed by gzip (yann.lecun.com/exdb/mnist, "The IDX file
/// format"): bytes 0, 0, element type, number of dimensions; the sizes as big-endian 32-bit integers; the elements,
/// big-endian, the last dimension fastest; nothing behind them.
public struct IDXFile: Sendable {
    /// Element types, by the numbers that the format gives them.
    public enum ElementType: UInt8, Sendable, Hashable, CaseIterable {
        case u8 = 0x08
        case i8 = 0x09
        case i16 = 0x0B
        case i32 = 0x0C
        case f32 = 0x0D
        case f64 = 0x0E

        /// Bytes of one element.
        public var byteCount: Int {
            switch self {
            case .u8, .i8: 1
            case .i16: 2
            case .i32, .f32: 4
            case .f64: 8
            }
        }
    }

    public let path: String
    public let elementType: ElementType
    /// Sizes from the slowest to the fastest dimension, at least one.
    public let shape: [Int]
    /// The elements as they are in the file: big-endian.
    public let bytes: [UInt8]

    /// Number of elements.
    public var count: Int { bytes.count / elementType.byteCount }

    /// Reads a file. Memory grows with the data that arrives, not with what the header promises.
    ///
    /// - Throws: `ModelFileError` if it cannot be read, is no IDX file, or is longer or shorter than its header says.
    public init(path: String) throws(ModelFileError) {
        self.path = path
        (elementType, shape, bytes) = try Self.reading(path) { (limits, source) throws(ModelFileError) in
            try Self.read(path: path, limits: limits, from: source)
        }
    }

    /// Type and sizes of the file at `path`; its elements may be absent or too many.
    ///
    /// - Throws: `ModelFileError` if it cannot be read or does not begin as an IDX file.
    internal static func header(path: String) throws(ModelFileError) -> (elementType: ElementType, shape: [Int]) {
        try reading(path) { (_, source) throws(ModelFileError) in try readHeader(path: path, from: source) }
    }

    /// Reads the bytes to come into a buffer, fewer than asked for only at the end.
    internal typealias Source = (UnsafeMutableRawBufferPointer) throws(ModelFileError) -> Int

    /// Calls `body` with the bytes of a file, decompressed where needed, and how many there can be.
    private static func reading<Result>(
        _ path: String, _ body: (Limits, Source) throws(ModelFileError) -> Result
    ) throws(ModelFileError) -> Result {
        let file = try InputFile(path: path)
        let isCompressed = file.size >= 2 ? try file.bytes(at: 0, count: 2) == [0x1F, 0x8B] : false
        if isCompressed {
            let reader = try GzipReader(file)
            return try body(Limits(compressedSize: file.size)) { (buffer) throws(ModelFileError) in try reader.read(into: buffer) }
        }
        var position = 0
        return try body(Limits(size: file.size)) { (buffer) throws(ModelFileError) in
            let count = min(buffer.count, file.size - position)
            try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: position)
            position += count
            return count
        }
    }

    /// What a file of a known size may hold.
    private struct Limits {
        /// The most bytes that can come out of it.
        let possible: Int
        /// The most bytes that are read: with the half as much that growing takes, 16 times the file's bytes and 64 MB.
        let accepted: Int

        init(size: Int) {
            (possible, accepted) = (size, size)
        }

        init(compressedSize size: Int) {
            possible = size.multipliedReportingOverflow(by: Deflate.largestExpansion).overflow ? .max : size * Deflate.largestExpansion
            accepted = size > Int.max / 32 ? .max : (16 * size + 64 << 20) / 3 * 2
        }
    }

    private static func readHeader(path: String, from source: Source) throws(ModelFileError) -> (elementType: ElementType, shape: [Int]) {
        let (elementType, dimensions) = try magic(next(4, from: source), path: path)
        let sizeBytes = try next(4 * dimensions, from: source)
        guard sizeBytes.count == 4 * dimensions else {
            throw ModelFileError(
                .truncated, path: path, what: "sizes of an IDX file", expected: "\(dimensions) of 4 bytes", found: "\(sizeBytes.count) bytes")
        }
        let shape = stride(from: 0, to: sizeBytes.count, by: 4).map { start in
            sizeBytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
        }
        return (elementType, shape)
    }

    /// Reads header and elements.
    private static func read(path: String, limits: Limits, from source: Source) throws(ModelFileError) -> (ElementType, [Int], [UInt8]) {
        let (elementType, shape) = try readHeader(path: path, from: source)
        var byteCount = elementType.byteCount
        for size in shape {
            let (product, overflow) = byteCount.multipliedReportingOverflow(by: size)
            guard !overflow else {
                throw ModelFileError(
                    .malformed, path: path, what: "sizes of an IDX file", expected: "a product of at most \(Int.max) bytes", found: "\(shape)")
            }
            byteCount = product
        }
        guard byteCount <= limits.possible else {
            throw ModelFileError(
                .truncated, path: path, what: "elements of an IDX file", expected: "\(byteCount) bytes for sizes \(shape)",
                found: "a file that holds at most \(limits.possible)")
        }
        guard byteCount <= limits.accepted else {
            throw ModelFileError(
                .unsupported, path: path, what: "elements of a compressed IDX file",
                expected: "at most \(limits.accepted) bytes, 10 times the file's and 40 MB (decompress the file to read more)", found: "\(byteCount)")
        }
        let bytes = try next(byteCount, from: source)
        guard bytes.count == byteCount else {
            throw ModelFileError(
                .truncated, path: path, what: "elements of an IDX file", expected: "\(byteCount) bytes for sizes \(shape)", found: "\(bytes.count)")
        }
        guard try next(1, from: source).isEmpty else {
            throw ModelFileError(
                .malformed, path: path, what: "end of an IDX file", expected: "nothing after \(byteCount) bytes of elements", found: "more bytes")
        }
        return (elementType, shape, bytes)
    }

    private static func magic(_ bytes: [UInt8], path: String) throws(ModelFileError) -> (ElementType, dimensions: Int) {
        guard bytes.count == 4, bytes[0] == 0, bytes[1] == 0, let type = ElementType(rawValue: bytes[2]), bytes[3] >= 1 else {
            throw ModelFileError(
                bytes.count == 4 ? .malformed : .truncated, path: path, what: "first four bytes of an IDX file",
                expected: "0, 0, an element type of 8, 9, 11, 12, 13 or 14, at least 1 dimension",
                found: bytes.isEmpty ? "an empty file" : bytes.map(String.init).joined(separator: ", "))
        }
        return (type, Int(bytes[3]))
    }

    /// The next `count` bytes, fewer at the end. Memory doubles as bytes arrive, from a size from which doubling leads to `count`: so the largest
    /// block and the one before it take 1.5 times `count`.
    internal static func next(_ count: Int, from source: Source) throws(ModelFileError) -> [UInt8] {
        var bytes: [UInt8] = []
        let step = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, 1 << 16), alignment: 16)
        defer { step.deallocate() }
        var capacity = count
        while capacity > 1 << 20 { capacity -= capacity / 2 }
        bytes.reserveCapacity(capacity)
        while bytes.count < count {
            let wanted = min(step.count, count - bytes.count)
            let got = try source(UnsafeMutableRawBufferPointer(rebasing: step[..<wanted]))
            if bytes.count + got > capacity {
                capacity += min(capacity, count - capacity)
                bytes.reserveCapacity(capacity)
            }
            bytes.append(contentsOf: step[..<got])
            if got < wanted { break }
        }
        return bytes
    }
}

// MARK: - Numbers

extension IDXFile {
    /// The elements as float32, the last dimension fastest. i32 and f64 are rounded to nearest, ties to even.
    public var floats: [Float] {
        switch elementType {
        case .u8: bytes.map { Float($0) }
        case .i8: bytes.map { Float(Int8(bitPattern: $0)) }
        case .i16: elements(UInt16.self).map { Float(Int16(bitPattern: $0)) }
        case .i32: elements(UInt32.self).map { Float(Int32(bitPattern: $0)) }
        case .f32: elements(UInt32.self).map { Float(bitPattern: $0) }
        case .f64: elements(UInt64.self).map { Float(Double(bitPattern: $0)) }
        }
    }

    private func elements<Bits: FixedWidthInteger>(_: Bits.Type) -> [Bits] {
        bytes.withUnsafeBytes { raw in
            stride(from: 0, to: raw.count, by: MemoryLayout<Bits>.size).map {
                Bits(bigEndian: raw.loadUnaligned(fromByteOffset: $0, as: Bits.self))
            }
        }
    }

    /// Images as rows, their pixels scaled from 0…255 to 0…1: shape [images, pixels of one], for sizes [images, height, width].
    ///
    /// - Throws: `ModelFileError` of kind `mismatch` unless the elements are unsigned bytes in at least two dimensions.
    public func images() throws(ModelFileError) -> Matrix {
        guard elementType == .u8, shape.count >= 2 else {
            throw ModelFileError(
                .mismatch, path: path, what: "images", expected: "unsigned bytes in at least 2 dimensions", found: "\(elementType) \(shape)")
        }
        // With no images at all, the product of the other sizes was not bounded by the file.
        let pixels = bytes.isEmpty ? 0 : bytes.count / shape[0]
        return Matrix(rows: shape[0], columns: pixels) { destination in
            bytes.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, let to = destination.baseAddress else { return }
                let count = source.count
                var index = 0
                while index < count {
                    to[index] = Float(from[index]) / 255
                    index &+= 1
                }
            }
        }
    }

    /// One class number for each image.
    ///
    /// - Throws: `ModelFileError` of kind `mismatch` unless the elements are integers of at least 0 in one dimension.
    public func labels() throws(ModelFileError) -> [Int] {
        guard ![.f32, .f64].contains(elementType), shape.count == 1 else {
            throw ModelFileError(.mismatch, path: path, what: "labels", expected: "integers in 1 dimension", found: "\(elementType) \(shape)")
        }
        let labels =
            switch elementType {
            case .i16: elements(UInt16.self).map { Int(Int16(bitPattern: $0)) }
            case .i32: elements(UInt32.self).map { Int(Int32(bitPattern: $0)) }
            default: bytes.map { elementType == .i8 ? Int(Int8(bitPattern: $0)) : Int($0) }
            }
        if let wrong = labels.firstIndex(where: { $0 < 0 }) {
            throw ModelFileError(.mismatch, path: path, what: "label \(wrong)", expected: "a number of at least 0", found: "\(labels[wrong])")
        }
        return labels
    }
}
