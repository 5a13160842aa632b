#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The system's zlib, which reads compressed data sets and makes deployed networks smaller. It is looked up when first needed, so that the
/// package links nothing for its sake and works without it: a program linked statically with musl has none.
public enum ZlibLibrary {
    /// Whether it was found. Without it, files that are compressed are refused with a `ModelFileError`, and deployed networks are written as
    /// they are.
    public static var isAvailable: Bool { Zlib.shared != nil }
}

/// Functions of zlib.h, found by dlopen.
internal struct Zlib: @unchecked Sendable {
    // int inflateInit2_(z_streamp, int windowBits, const char *version, int stream_size); int inflate(z_streamp, int flush);
    // int inflateReset(z_streamp); int inflateEnd(z_streamp); const char *zlibVersion(void). A z_streamp points to a ZlibStream.
    typealias InflateInit = @convention(c) (UnsafeMutableRawPointer, CInt, UnsafePointer<CChar>?, CInt) -> CInt
    typealias Inflate = @convention(c) (UnsafeMutableRawPointer, CInt) -> CInt
    typealias InflateStep = @convention(c) (UnsafeMutableRawPointer) -> CInt
    typealias Version = @convention(c) () -> UnsafePointer<CChar>?
    // int compress2(Bytef *, uLongf *, const Bytef *, uLong, int); uLong compressBound(uLong); int uncompress(Bytef *, uLongf *, const Bytef *, uLong).
    typealias Compress =
        @convention(c) (UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<CUnsignedLong>, UnsafePointer<UInt8>, CUnsignedLong, CInt) -> CInt
    typealias Bound = @convention(c) (CUnsignedLong) -> CUnsignedLong
    typealias Uncompress =
        @convention(c) (UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<CUnsignedLong>, UnsafePointer<UInt8>, CUnsignedLong) -> CInt

    let inflateInit: InflateInit
    let inflate: Inflate
    let inflateReset: InflateStep
    let inflateEnd: InflateStep
    let version: Version
    let compress: Compress
    let compressBound: Bound
    let uncompress: Uncompress

    /// Set by tests: as if there were no zlib.
    @TaskLocal static var isHidden = false

    /// Nil where there is no zlib.
    static var shared: Zlib? { isHidden ? nil : found }

    private static let found: Zlib? = {
        for name in ["libz.so.1", "libz.so", "/usr/lib/libz.1.dylib", "/usr/lib/libz.dylib"] {
            // Never closed: the functions stay in use until the process ends.
            guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL) else { continue }
            if let zlib = Zlib(library) { return zlib }
        }
        return nil
    }()

    private init?(_ library: UnsafeMutableRawPointer) {
        guard let inflateInit = dlsym(library, "inflateInit2_"), let inflate = dlsym(library, "inflate"),
            let inflateReset = dlsym(library, "inflateReset"), let inflateEnd = dlsym(library, "inflateEnd"),
            let version = dlsym(library, "zlibVersion"), let compress = dlsym(library, "compress2"),
            let compressBound = dlsym(library, "compressBound"), let uncompress = dlsym(library, "uncompress")
        else { return nil }
        self.inflateInit = unsafeBitCast(inflateInit, to: InflateInit.self)
        self.inflate = unsafeBitCast(inflate, to: Inflate.self)
        self.inflateReset = unsafeBitCast(inflateReset, to: InflateStep.self)
        self.inflateEnd = unsafeBitCast(inflateEnd, to: InflateStep.self)
        self.version = unsafeBitCast(version, to: Version.self)
        self.compress = unsafeBitCast(compress, to: Compress.self)
        self.compressBound = unsafeBitCast(compressBound, to: Bound.self)
        self.uncompress = unsafeBitCast(uncompress, to: Uncompress.self)
    }

    /// The error for a file that needs zlib where there is none.
    static func missing(path: String, what: String) -> ModelFileError {
        ModelFileError(
            .unsupported, path: path, what: what, expected: "the system's zlib (libz.so.1) to inflate it with",
            found: "no zlib (install zlib1g, or decompress the file)")
    }
}

/// z_stream of zlib.h: the same fields in the same order, so the same layout.
internal struct ZlibStream {
    var nextInput: UnsafeMutablePointer<UInt8>?
    var availableInput: CUnsignedInt = 0
    var totalInput: CUnsignedLong = 0
    var nextOutput: UnsafeMutablePointer<UInt8>?
    var availableOutput: CUnsignedInt = 0
    var totalOutput: CUnsignedLong = 0
    var message: UnsafePointer<CChar>?
    var state: OpaquePointer?
    var allocate: OpaquePointer?
    var free: OpaquePointer?
    var opaque: OpaquePointer?
    var dataType: CInt = 0
    var checksum: CUnsignedLong = 0
    var reserved: CUnsignedLong = 0
}

/// Return values of zlib.h.
internal enum ZlibStatus {
    static let ok: CInt = 0
    static let streamEnd: CInt = 1
    static let bufferError: CInt = -5
}
