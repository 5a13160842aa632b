#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A folder for one run at a time, by a lock (flock) on the file `.lock` in it. The lock ends with this object or with its process, however
/// that ends; the file stays.
package final class DirectoryLock: Sendable {
    private let descriptor: CInt

    /// - Throws: `ModelFileError`, of kind `inUse` if another run holds the folder, `unwritable` if it cannot be written to or locked.
    package init(directory: String) throws(ModelFileError) {
        let path = "\(directory)/.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o666)
        guard descriptor >= 0 else {
            throw ModelFileError(.unwritable, path: path, what: "lock", expected: "a folder that can be written to", found: systemError())
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let isHeld = errno == EWOULDBLOCK, reason = systemError()
            defer { close(descriptor) }
            throw isHeld
                ? ModelFileError(
                    .inUse, path: directory, what: "folder", expected: "one that no other process uses", found: "process \(Self.holder(descriptor))")
                : ModelFileError(.unwritable, path: path, what: "lock", expected: "a file system that locks files", found: reason)
        }
        // For the message of whoever comes next; nothing depends on it.
        let text = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) } }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// The number that the holder has written, as far as it is one.
    private static func holder(_ descriptor: CInt) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        let digits = bytes.prefix(max(0, count)).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return digits.isEmpty ? "of unknown number" : String(decoding: digits, as: UTF8.self)
    }
}
