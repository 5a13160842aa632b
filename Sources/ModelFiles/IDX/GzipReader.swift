#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The functions of the system's zlib that read .gz files, looked up when first needed: the package then links nothing for
/// the sake of one file format, and plain files can be read where zlib is missing.
private struct Zlib: @unchecked Sendable {
    // zlib.h: gzFile gzdopen(int, const char *); int gzread(gzFile, void *, unsigned); const char *gzerror(gzFile, int *); int gzclose(gzFile).
    typealias Open = @convention(c) (CInt, UnsafePointer<CChar>) -> OpaquePointer?
    typealias Read = @convention(c) (OpaquePointer, UnsafeMutableRawPointer, CUnsignedInt) -> CInt
    typealias ErrorText = @convention(c) (OpaquePointer, UnsafeMutablePointer<CInt>) -> UnsafePointer<CChar>?
    typealias Close = @convention(c) (OpaquePointer) -> CInt

    let open: Open
    let read: Read
    let error: ErrorText
    let close: Close

    static let shared: Zlib? = {
        for name in ["libz.so.1", "libz.so", "libz.dylib", "/usr/lib/libz.dylib"] {
            // Never closed: the functions stay in use until the process ends.
            guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL) else { continue }
            guard let open = dlsym(library, "gzdopen"), let read = dlsym(library, "gzread"),
                let error = dlsym(library, "gzerror"), let close = dlsym(library, "gzclose")
            else { continue }
            return Zlib(
                open: unsafeBitCast(open, to: Open.self), read: unsafeBitCast(read, to: Read.self),
                error: unsafeBitCast(error, to: ErrorText.self), close: unsafeBitCast(close, to: Close.self))
        }
        return nil
    }()
}

/// The decompressed bytes of a .gz file, in order.
internal struct GzipReader: ~Copyable {
    /// Deflate's best case is a match of 258 bytes in two bits (one for the length, one for the distance), so this many
    /// bytes come out of each one of the file at most (zlib's technical notes, "Maximum Compression Factor").
    static let largestExpansion = 1032

    private let zlib: Zlib
    private let stream: OpaquePointer
    private let path: String

    init(_ file: InputFile) throws(ModelFileError) {
        guard let zlib = Zlib.shared else {
            throw ModelFileError(
                .unsupported, path: file.path, what: "compressed file", expected: "the system's zlib (libz.so.1) to read it with",
                found: "none; decompress the file or install zlib1g")
        }
        let descriptor = file.duplicateDescriptor()
        guard descriptor >= 0, let stream = zlib.open(descriptor, "rb") else {
            if descriptor >= 0 { close(descriptor) }
            throw ModelFileError(.unreadable, path: file.path, what: "compressed file", expected: "a gzip stream", found: systemError())
        }
        self.zlib = zlib
        self.stream = stream
        path = file.path
    }

    deinit {
        _ = zlib.close(stream)
    }

    /// Fills as much of `destination` as there is data for and returns how many bytes that was: fewer only at the end.
    func read(into destination: UnsafeMutableRawBufferPointer) throws(ModelFileError) -> Int {
        guard let start = destination.baseAddress else { return 0 }
        var done = 0
        while done < destination.count {
            let got = zlib.read(stream, start + done, CUnsignedInt(min(destination.count - done, 1 << 30)))
            if got == 0 { break }
            guard got > 0 else { throw failure() }
            done += Int(got)
        }
        // An unfinished stream is not an error to gzread, but it leaves Z_BUF_ERROR behind.
        var code: CInt = 0
        if done < destination.count, zlib.error(stream, &code) != nil, code != 0 { throw failure() }
        return done
    }

    private func failure() -> ModelFileError {
        var code: CInt = 0
        let text = zlib.error(stream, &code).map { String(cString: $0) } ?? ""
        let endedEarly = code == -5  // Z_BUF_ERROR
        return ModelFileError(
            endedEarly ? .truncated : .malformed, path: path, what: "compressed data", expected: "a sound gzip stream",
            found: endedEarly ? "the end of the file in its middle" : "zlib's error \(code) \(text.quoted)")
    }
}
