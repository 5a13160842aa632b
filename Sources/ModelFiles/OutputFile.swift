#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A file that appears at its path complete or not at all: bytes go to a temporary file in the same folder, `commit`
/// renames it. A file that is dropped without `commit` removes what it wrote.
internal struct OutputFile: ~Copyable {
    private let path: String
    private let temporaryPath: String
    private var descriptor: CInt

    init(path: String) throws(ModelFileError) {
        self.path = path
        temporaryPath = "\(path).\(String(UInt64.random(in: 0...UInt64.max), radix: 36)).tmp"
        // Mode 0666 less the umask, as every other new file; O_EXCL: never someone else's file or link.
        descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        if descriptor < 0 {
            throw ModelFileError(
                .unwritable, path: path, what: "file", expected: "a folder that can be written to", found: systemError())
        }
    }

    deinit {
        if descriptor >= 0 {
            close(descriptor)
            unlink(temporaryPath)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
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

    func write(_ bytes: [UInt8]) throws(ModelFileError) {
        var failure: ModelFileError?
        bytes.withUnsafeBytes { raw in
            do throws(ModelFileError) { try write(raw) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Gives the file its path, replacing what was there.
    consuming func commit() throws(ModelFileError) {
        // Without fsync a crash soon after the rename can leave an empty file under the final name.
        guard fsync(descriptor) == 0 else { throw failure("fsync") }
        guard rename(temporaryPath, path) == 0 else { throw failure("rename of the temporary file") }
        close(descriptor)
        descriptor = -1
    }

    private func failure(_ what: String) -> ModelFileError {
        ModelFileError(.unwritable, path: path, what: what, expected: "success", found: systemError())
    }
}
