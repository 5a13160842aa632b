#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A regular file opened for reading.
///
/// Reads copy (`pread`) where a memory map would not: when another process shortens the file, a read reports it, while
/// touching a map ends the process with SIGBUS; and a tensor of float32 is copied once in both cases, since aligned storage
/// of its own has to receive it.
internal final class InputFile: Sendable {
    let path: String
    /// Size in bytes when the file was opened.
    let size: Int
    private let descriptor: CInt

    init(path: String) throws(ModelFileError) {
        // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw ModelFileError(.unreadable, path: path, what: "file", expected: "a readable file", found: systemError())
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            let found = status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "a device, pipe or socket"
            throw ModelFileError(.unreadable, path: path, what: "file", expected: "a regular file", found: found)
        }
        self.path = path
        self.size = Int(status.st_size)
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Fills `destination` with the bytes that begin at `offset`.
    func read(into destination: UnsafeMutableRawBufferPointer, at offset: Int) throws(ModelFileError) {
        guard let start = destination.baseAddress else { return }
        var done = 0
        while done < destination.count {
            // Darwin refuses requests above 2³¹ − 1 bytes.
            let wanted = min(destination.count - done, 1 << 30)
            let got = pread(descriptor, start + done, wanted, off_t(offset + done))
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else {
                throw ModelFileError(
                    .unreadable, path: path, what: "read at byte \(offset + done)", expected: "\(wanted) bytes", found: systemError())
            }
            guard got > 0 else {
                throw ModelFileError(
                    .truncated, path: path, what: "read at byte \(offset)", expected: "\(destination.count) bytes", found: "\(done)")
            }
            done += got
        }
    }

    /// `count` bytes that begin at `offset`. The caller has compared `count` with `size`.
    func bytes(at offset: Int, count: Int) throws(ModelFileError) -> [UInt8] {
        var failure: ModelFileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(ModelFileError) {
                try read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), at: offset)
                initialized = count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// A second descriptor of this file, for a library that closes what it is given; negative if there are no more.
    func duplicateDescriptor() -> CInt {
        dup(descriptor)
    }
}

/// The text of `errno`.
internal func systemError() -> String {
    String(cString: strerror(errno))
}
