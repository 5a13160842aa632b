package import Foundation

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A file that appears at its path complete or not at all: bytes go to a temporary file in the same folder, `commit`
/// renames it. A file that is dropped without `commit` removes what it wrote.
///
/// A file that was there keeps its mode and, where the system allows it, its owner. A symbolic link stays, and what it points to is replaced.
/// A device, a pipe or an open descriptor (/dev/stdout) cannot be replaced: bytes go right to it. What a killed process left of the same file
/// is removed, by whoever writes it next.
package struct OutputFile: ~Copyable {
    private let path: String
    /// Nil where bytes go right to their place.
    private let replacement: Replacement?
    private var descriptor: CInt

    private struct Replacement {
        /// Behind all links.
        let target: String
        let temporary: String
        /// Of the file that was there.
        let status: stat?
    }

    /// - Throws: `ModelFileError` of kind `unwritable`.
    package init(path: String) throws(ModelFileError) {
        self.path = path
        (descriptor, replacement) = try Self.opened(path)
    }

    private static func opened(_ path: String) throws(ModelFileError) -> (CInt, Replacement?) {
        func refused(_ expected: String, _ found: String) -> ModelFileError {
            ModelFileError(.unwritable, path: path, what: "file", expected: expected, found: found)
        }
        var status = stat()
        let exists = stat(path, &status) == 0
        if exists && status.st_mode & S_IFMT == S_IFDIR { throw refused("a file or a free name", "a directory") }
        let target = try target(of: path)
        guard !exists || status.st_mode & S_IFMT == S_IFREG, let target else {
            // O_APPEND: standard output may be a file that others write to as well.
            let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
            if descriptor < 0 { throw refused("a device, pipe or descriptor that can be written to", systemError()) }
            return (descriptor, nil)
        }
        TemporaryFile.removeAbandoned(of: target)
        // A new file has mode 0666 less the umask, as every other; one that replaces another is private until it gets that one's mode.
        guard let temporary = TemporaryFile.create(for: target, mode: exists ? 0o600 : 0o666) else {
            throw refused("a folder that can be written to", systemError())
        }
        return (temporary.descriptor, Replacement(target: target, temporary: temporary.path, status: exists ? status : nil))
    }

    deinit {
        if descriptor >= 0 {
            if let replacement { unlink(replacement.temporary) }
            close(descriptor)
        }
    }

    package func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
        guard let start = bytes.baseAddress else { return }
        #if canImport(Darwin)
            let systemWrite = Darwin.write
        #elseif canImport(Musl)
            let systemWrite = Musl.write
        #else
            let systemWrite = Glibc.write
        #endif
        var done = 0
        while done < bytes.count {
            let written = systemWrite(descriptor, start + done, min(bytes.count - done, 1 << 30))
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw failure("write of \(bytes.count) bytes") }
            done += written
        }
    }

    package func write(_ bytes: [UInt8]) throws(ModelFileError) {
        var failure: ModelFileError?
        bytes.withUnsafeBytes { raw in
            do throws(ModelFileError) { try write(raw) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Gives the file its path, replacing what was there.
    package consuming func commit() throws(ModelFileError) {
        if let replacement {
            if let status = replacement.status { keepAttributes(of: status) }
            // Without fsync a crash soon after the rename can leave an empty file under the final name.
            guard fsync(descriptor) == 0 else { throw failure("fsync") }
            guard rename(replacement.temporary, replacement.target) == 0 else { throw failure("rename of the temporary file") }
        }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0 else { throw failure("close") }
    }

    /// Writes `bytes` as the whole of the file at `path`.
    ///
    /// - Throws: `ModelFileError` of kind `unwritable`.
    package static func replace(path: String, with bytes: some ContiguousBytes) throws(ModelFileError) {
        let output = try OutputFile(path: path)
        var failure: ModelFileError?
        bytes.withUnsafeBytes { raw in
            do throws(ModelFileError) { try output.write(raw) } catch { failure = error }
        }
        if let failure { throw failure }
        try output.commit()
    }

    /// Owner, group and mode of the file that is replaced. Only root may give a file away; the mode is kept in any case, less the bits that
    /// would let others act as an owner who is another one now.
    private func keepAttributes(of status: stat) {
        var mine = stat()
        guard fstat(descriptor, &mine) == 0 else { return }
        var isSame = mine.st_uid == status.st_uid && mine.st_gid == status.st_gid
        if !isSame {
            isSame = fchown(descriptor, status.st_uid, status.st_gid) == 0
            if !isSame && mine.st_gid != status.st_gid { _ = fchown(descriptor, mine.st_uid, status.st_gid) }
        }
        _ = fchmod(descriptor, status.st_mode & (isSame ? 0o7777 : 0o777))
    }

    /// Where `path` leads through symbolic links, whether there is a file or not; nil for an open descriptor, which only looks like a link.
    private static func target(of path: String) throws(ModelFileError) -> String? {
        var target = path
        // As many links as Linux follows.
        for _ in 0..<40 {
            if target.hasPrefix("/proc/") || target.hasPrefix("/dev/fd/") { return nil }
            var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
            let count = buffer.withUnsafeMutableBytes { readlink(target, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
            guard count > 0 else { return target }
            let link = String(decoding: buffer.prefix(count), as: UTF8.self)
            target = link.hasPrefix("/") ? link : TemporaryFile.folder(of: target) + "/" + link
        }
        throw ModelFileError(.unwritable, path: path, what: "file", expected: "at most 40 symbolic links", found: "more, or a circle")
    }

    private func failure(_ what: String) -> ModelFileError {
        ModelFileError(.unwritable, path: path, what: what, expected: "success", found: systemError())
    }
}
