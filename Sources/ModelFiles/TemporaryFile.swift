#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Temporary files beside the file that they will replace.
///
/// Whoever writes one holds a lock on it (flock), which the system releases when the process ends, however it ends. So a temporary file whose
/// lock is free was left by a process that is gone.
internal enum TemporaryFile {
    private static let suffix = ".tmp"

    static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "" : String(path[..<slash])
    }

    /// What the names of all temporary files of a file begin with: its own name, at most 200 bytes of it, so that the whole fits into the 255
    /// bytes of NAME_MAX, and a hash of all of it (FNV-1a, 64 bits), so that no other file's are meant.
    private static func prefix(of path: String) -> String {
        let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8[path.utf8.index(after: $0)...] } ?? path.utf8[...]
        let hash = name.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        var beginning = name.prefix(200)
        while String(beginning) == nil { beginning.removeLast() }
        return "\(Substring(beginning)).\(String(hash, radix: 36))."
    }

    /// A new file for what will be at `path`, locked; nil, with `errno`, if the folder takes none.
    static func create(for path: String, mode: mode_t) -> (path: String, descriptor: CInt)? {
        let beginning = "\(folder(of: path))/\(prefix(of: path))"
        while true {
            let temporary = beginning + String(UInt64.random(in: 0...UInt64.max), radix: 36) + suffix
            // O_EXCL: never someone else's file or link.
            let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
            if descriptor < 0 {
                if errno == EEXIST || errno == EINTR { continue }
                return nil
            }
            // Another process may have taken it for abandoned before it was locked: it is gone then, or will be at once.
            // Where the file system has no locks nobody can take one, so nobody removes it.
            let isTaken = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
            var status = stat()
            if !isTaken, fstat(descriptor, &status) == 0, status.st_nlink > 0 { return (temporary, descriptor) }
            close(descriptor)
        }
    }

    /// Removes temporary files of `path` whose writers are gone.
    static func removeAbandoned(of path: String) {
        let folder = folder(of: path), prefix = prefix(of: path)
        guard let directory = opendir(folder.isEmpty ? "/" : folder) else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name.utf8.starts(with: prefix.utf8), name.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) else { continue }
            let temporary = "\(folder)/\(name)"
            // O_NOFOLLOW and O_NONBLOCK: neither links nor pipes of that name are looked into.
            let descriptor = open(temporary, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(temporary) }
            close(descriptor)
        }
    }
}
