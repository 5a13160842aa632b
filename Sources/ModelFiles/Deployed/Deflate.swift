#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The system's zlib in memory, looked up when first needed as for .gz files.
internal struct Deflate: @unchecked Sendable {
    // zlib.h: int compress2(Bytef *, uLongf *, const Bytef *, uLong, int); uLong compressBound(uLong);
    // int uncompress(Bytef *, uLongf *, const Bytef *, uLong).
    private typealias Compress = @convention(c) (UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<UInt>, UnsafePointer<UInt8>, UInt, CInt) -> CInt
    private typealias Bound = @convention(c) (UInt) -> UInt
    private typealias Uncompress = @convention(c) (UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<UInt>, UnsafePointer<UInt8>, UInt) -> CInt

    private let compress2: Compress
    private let bound: Bound
    private let uncompress: Uncompress

    static let shared: Deflate? = {
        for name in ["libz.so.1", "libz.so", "libz.dylib", "/usr/lib/libz.dylib"] {
            guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL), let compress2 = dlsym(library, "compress2"),
                let bound = dlsym(library, "compressBound"), let uncompress = dlsym(library, "uncompress")
            else { continue }
            return Deflate(
                compress2: unsafeBitCast(compress2, to: Compress.self), bound: unsafeBitCast(bound, to: Bound.self),
                uncompress: unsafeBitCast(uncompress, to: Uncompress.self))
        }
        return nil
    }()

    private init(compress2: @escaping Compress, bound: @escaping Bound, uncompress: @escaping Uncompress) {
        (self.compress2, self.bound, self.uncompress) = (compress2, bound, uncompress)
    }

    /// The shortest stream that zlib finds; nil where it is not shorter.
    func compressed(_ bytes: [UInt8]) -> [UInt8]? {
        var length = bound(UInt(bytes.count))
        var stream = [UInt8](repeating: 0, count: Int(length))
        guard !bytes.isEmpty, compress2(&stream, &length, bytes, UInt(bytes.count), 9) == 0, Int(length) < bytes.count else { return nil }
        return Array(stream.prefix(Int(length)))
    }

    /// Exactly `count` bytes, or nil if the stream holds others. A stream cannot hold more than 1,032 times its own bytes.
    func decompressed(_ stream: [UInt8], count: Int) -> [UInt8]? {
        guard count >= 0, count <= stream.count.multipliedReportingOverflow(by: GzipReader.largestExpansion).partialValue else { return nil }
        var length = UInt(count)
        var bytes = [UInt8](repeating: 0, count: count)
        guard count > 0, uncompress(&bytes, &length, stream, UInt(stream.count)) == 0, Int(length) == count else { return nil }
        return bytes
    }
}
