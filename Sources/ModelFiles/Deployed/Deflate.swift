/// Streams of zlib in memory (RFC 1950), level 9.
internal enum Deflate {
    /// Deflate's best case is a match of 258 bytes in two bits (one for the length, one for the distance), so this many bytes come out of each
    /// one of a stream at most (zlib's technical notes, "Maximum Compression Factor").
    static let largestExpansion = 1032

    /// Whether there is a zlib: without one `compressed` gives nil, and `decompressed` throws.
    static var isAvailable: Bool { Zlib.shared != nil }

    /// The shortest stream that zlib finds; nil where it is not shorter than `bytes`, or where there is no zlib.
    static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
        guard let zlib = Zlib.shared, !bytes.isEmpty else { return nil }
        var length = zlib.compressBound(CUnsignedLong(bytes.count))
        var stream = [UInt8](repeating: 0, count: Int(length))
        guard zlib.compress(&stream, &length, bytes, CUnsignedLong(bytes.count), 9) == ZlibStatus.ok, Int(length) < bytes.count else { return nil }
        return Array(stream.prefix(Int(length)))
    }

    /// The `count` bytes that a stream holds, allocated at once: the caller has compared `count` with what it may take.
    ///
    /// - Throws: `ModelFileError` that names `path` and `what`: of kind `unsupported` without zlib, `malformed` unless the stream is sound and
    ///   holds exactly `count` bytes.
    static func decompressed(_ stream: [UInt8], count: Int, path: String, what: String) throws(ModelFileError) -> [UInt8] {
        guard let zlib = Zlib.shared else { throw Zlib.missing(path: path, what: what) }
        func malformed(_ found: String) -> ModelFileError {
            ModelFileError(.malformed, path: path, what: what, expected: "a deflated stream of \(count) bytes", found: found)
        }
        let (limit, overflow) = stream.count.multipliedReportingOverflow(by: largestExpansion)
        guard count > 0, overflow || count <= limit else { throw malformed("\(stream.count) bytes, which cannot hold them") }
        var length = CUnsignedLong(count), status = ZlibStatus.ok
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            guard let start = buffer.baseAddress else { return }
            status = zlib.uncompress(start, &length, stream, CUnsignedLong(stream.count))
            initialized = status == ZlibStatus.ok ? Int(length) : 0
        }
        guard status == ZlibStatus.ok, bytes.count == count else {
            throw malformed(status == ZlibStatus.ok ? "one of \(bytes.count)" : "\(stream.count) bytes that are none")
        }
        return bytes
    }
}
