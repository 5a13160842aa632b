#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The decompressed bytes of a .gz file, in order: one or more members (RFC 1952), each with a checksum that fits, and nothing behind them.
internal final class GzipReader {
    private static let inputSize = 1 << 16

    private let zlib: Zlib
    private let file: InputFile
    private let stream: UnsafeMutablePointer<ZlibStream>
    private let input: UnsafeMutablePointer<UInt8>
    /// Bytes of the file that were read.
    private var position = 0
    /// Whether the stream is behind the end of a member.
    private var isBetweenMembers = false

    init(_ file: InputFile) throws(ModelFileError) {
        guard let zlib = Zlib.shared else { throw Zlib.missing(path: file.path, what: "compressed file") }
        let stream = UnsafeMutablePointer<ZlibStream>.allocate(capacity: 1)
        stream.initialize(to: ZlibStream())
        // A window of 15 bits; 16 more ask for gzip's header and trailer, whose checksum and length are then compared.
        let status = zlib.inflateInit(stream, 15 + 16, zlib.version(), CInt(MemoryLayout<ZlibStream>.size))
        guard status == ZlibStatus.ok else {
            stream.deallocate()
            throw ModelFileError(.unreadable, path: file.path, what: "zlib", expected: "a stream to inflate with", found: "status \(status)")
        }
        (self.zlib, self.file, self.stream) = (zlib, file, stream)
        input = .allocate(capacity: Self.inputSize)
    }

    deinit {
        _ = zlib.inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    /// Fills as much of `destination` as there is data for and returns how many bytes that was: fewer only at the end.
    func read(into destination: UnsafeMutableRawBufferPointer) throws(ModelFileError) -> Int {
        guard let start = destination.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
        var done = 0
        while done < destination.count {
            try refill()
            if isBetweenMembers {
                if stream.pointee.availableInput == 0 { break }
                try beginMember()
            }
            let wanted = min(destination.count - done, 1 << 30)
            stream.pointee.nextOutput = start + done
            stream.pointee.availableOutput = CUnsignedInt(wanted)
            let status = zlib.inflate(stream, 0)
            done += wanted - Int(stream.pointee.availableOutput)
            switch status {
            case ZlibStatus.ok: break
            case ZlibStatus.streamEnd: isBetweenMembers = true
            // No progress: more input was needed, and `refill` found none.
            case ZlibStatus.bufferError: throw failure(.truncated, "the end of the file in its middle")
            default:
                let text = stream.pointee.message.map { String(cString: $0) } ?? ""
                throw failure(.malformed, "zlib's error \(status) \(text.quoted)")
            }
        }
        return done
    }

    /// Reads the next bytes of the file once all have been used.
    private func refill() throws(ModelFileError) {
        guard stream.pointee.availableInput == 0, position < file.size else { return }
        let count = min(Self.inputSize, file.size - position)
        try file.read(into: UnsafeMutableRawBufferPointer(start: input, count: count), at: position)
        position += count
        stream.pointee.nextInput = input
        stream.pointee.availableInput = CUnsignedInt(count)
    }

    /// What follows a member must be another one.
    private func beginMember() throws(ModelFileError) {
        let place = position - Int(stream.pointee.availableInput)
        guard stream.pointee.nextInput?.pointee == 0x1F else {
            throw ModelFileError(
                .malformed, path: file.path, what: "byte \(place) of the compressed file", expected: "its end or another gzip stream",
                found: "\(file.size - place) bytes of something else")
        }
        _ = zlib.inflateReset(stream)
        isBetweenMembers = false
    }

    private func failure(_ kind: ModelFileError.Kind, _ found: String) -> ModelFileError {
        ModelFileError(kind, path: file.path, what: "compressed data", expected: "a sound gzip stream", found: found)
    }
}
