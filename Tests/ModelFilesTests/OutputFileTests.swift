import Foundation
@testable import ModelFiles
import Testing

/// What a written file does to what was there, to links and devices, and to what a killed writer left.
@Suite struct OutputFileTests {
    private func status(_ path: String) throws -> stat {
        var status = stat()
        try #require(lstat(path, &status) == 0, "\(path)")
        return status
    }

    private func content(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }

    private func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    private func replace(_ path: String, with text: String) throws {
        try OutputFile.replace(path: path, with: Array(text.utf8))
    }

    @Test(arguments: [0o600, 0o640, 0o644, 0o755, 0o444, 0o4750] as [mode_t])
    func aFileKeepsItsMode(mode: mode_t) throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/file"
            try replace(path, with: "old")
            #expect(chmod(path, mode) == 0)
            try replace(path, with: "new")
            #expect(try status(path).st_mode & 0o7777 == mode)
            #expect(try content(path) == "new")
        }
    }

    @Test func aFileIsPrivateWhileItReplacesAPrivateOne() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/file"
            try replace(path, with: "old")
            #expect(chmod(path, 0o600) == 0)
            let output = try OutputFile(path: path)
            try output.write(Array("secret".utf8))
            let temporary = try #require(try names(folder).first { $0 != "file" })
            #expect(try status("\(folder)/\(temporary)").st_mode & 0o077 == 0)
            try output.commit()
            #expect(try names(folder) == ["file"])
        }
    }

    @Test func newFilesHaveTheModeOfAllOthers() throws {
        try withTemporaryFolder { folder in
            try replace("\(folder)/ours", with: "")
            close(open("\(folder)/theirs", O_CREAT | O_WRONLY, 0o666))
            #expect(try status("\(folder)/ours").st_mode == status("\(folder)/theirs").st_mode)
        }
    }

    @Test(.enabled(if: getuid() == 0, "only root can give files away"))
    func aFileKeepsItsOwner() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/file"
            try replace(path, with: "old")
            #expect(chown(path, 1234, 4321) == 0 && chmod(path, 0o4755) == 0)
            try replace(path, with: "new")
            let status = try status(path)
            #expect(status.st_uid == 1234 && status.st_gid == 4321 && status.st_mode & 0o7777 == 0o4755)
        }
    }

    @Test func linksStayAndTheirTargetsAreReplaced() throws {
        try withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/inner", withIntermediateDirectories: false)
            // A link to a link, relative to its own folder; and one to nothing, which makes the file.
            try replace("\(folder)/inner/target", with: "old")
            for (link, target) in [("inner/second", "target"), ("first", "inner/second"), ("dangling", "\(folder)/inner/made"), ("circle", "circle")]
            {
                #expect(symlink(target, "\(folder)/\(link)") == 0)
            }
            try replace("\(folder)/first", with: "new")
            try replace("\(folder)/dangling", with: "made")
            #expect(try content("\(folder)/inner/target") == "new" && content("\(folder)/inner/made") == "made")
            for link in ["first", "inner/second", "dangling"] { #expect(try status("\(folder)/\(link)").st_mode & S_IFMT == S_IFLNK) }
            #expect(try names(folder + "/inner") == ["made", "second", "target"])
            let error = try #require(throws: ModelFileError.self) { try replace("\(folder)/circle", with: "") }
            expectGoodMessage(error, path: "\(folder)/circle")
        }
    }

    @Test func devicesAndPipesAreWrittenTo() throws {
        try replace("/dev/null", with: "nothing")
        #expect(try status("/dev/null").st_mode & S_IFMT == S_IFCHR)
        try withTemporaryFolder { folder in
            let path = "\(folder)/pipe"
            #expect(mkfifo(path, 0o600) == 0)
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            try replace(path, with: "through")
            var bytes = [UInt8](repeating: 0, count: 20)
            #expect(read(reader, &bytes, 20) == 7 && bytes.starts(with: "through".utf8))
            #expect(try status(path).st_mode & S_IFMT == S_IFIFO)
            #expect(try names(folder) == ["pipe"])
            // Descriptors look like links to where they lead, and are appended to: they may be standard output. Apple's systems open a second one of the
            // same position, which is behind what was written.
            try replace("\(folder)/file", with: "before, ")
            let descriptor = open("\(folder)/file", O_WRONLY)
            defer { close(descriptor) }
            lseek(descriptor, 0, SEEK_END)
            let inode = try status("\(folder)/file").st_ino
            try replace("/dev/fd/\(descriptor)", with: "after")
            #expect(try content("\(folder)/file") == "before, after" && status("\(folder)/file").st_ino == inode)
        }
    }

    @Test(arguments: ["n", "é"], [240, 250, 255])
    func longNames(character: String, bytes: Int) throws {
        try withTemporaryFolder { folder in
            let name = String(repeating: "x", count: bytes % character.utf8.count) + String(repeating: character, count: bytes / character.utf8.count)
            let path = "\(folder)/\(name)", sibling = "\(folder)/\(name.dropLast())y"
            try replace(path, with: "old")
            let other = try OutputFile(path: sibling)
            try replace(path, with: "new")
            try other.commit()
            #expect(try content(path) == "new" && names(folder).count == 2)
        }
    }

    @Test func folderAndUnwritablePlacesAreErrors() throws {
        try withTemporaryFolder { folder in
            for (path, word) in [
                (folder, "a directory"), ("\(folder)/absent/file", "No such file"), ("/proc/version/x", "descriptor that can be written"),
            ] {
                let error = try #require(throws: ModelFileError.self) { try replace(path, with: "") }
                #expect(error.kind == .unwritable && error.description.contains(word), "\(error)")
                expectGoodMessage(error, path: path)
            }
            #expect(try names(folder).isEmpty)
        }
    }

    /// A writer that is killed leaves a temporary file; the next one of the same file removes it, and nothing else.
    @Test func whatAKilledWriterLeftIsRemoved() async throws {
        let folder = NSTemporaryDirectory() + "OutputFileTests-\(UUID().uuidString)", path = "\(folder)/model.safetensors"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for _ in 0..<2 {
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
                let output = try OutputFile(path: path)
                try output.write([UInt8](repeating: 1, count: 100_000))
                kill(getpid(), SIGKILL)
                try output.commit()
            }
            // The second one has removed what the first one left.
            #expect(try names(folder).count == 1)
        }
        let abandoned = try #require(try names(folder).first)
        try replace("\(folder)/model", with: "other")
        try replace("\(folder)/model.safetensors.tmp", with: "other")
        #expect(try names(folder).contains(abandoned), "other files' writers leave it alone")
        // A writer that lives keeps its file while others of the same path come and go.
        let living = try OutputFile(path: path)
        try living.write(Array("living".utf8))
        #expect(try !names(folder).contains(abandoned))
        try replace(path, with: "quick")
        #expect(try content(path) == "quick")
        try living.commit()
        #expect(try content(path) == "living")
        #expect(try names(folder) == ["model", "model.safetensors", "model.safetensors.tmp"])
    }

    /// Processes and threads that write one path at once: the file is always one of theirs, whole, and nothing is left behind.
    @Test func manyWritersAtOnce() async throws {
        let folder = NSTemporaryDirectory() + "OutputFileTests-\(UUID().uuidString)", path = "\(folder)/file"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<3 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String, writer = writer as Int] in
                        DispatchQueue.concurrentPerform(iterations: 60) { index in
                            let bytes = [UInt8](repeating: UInt8(writer * 60 + index), count: 10_000 + index)
                            do { try OutputFile.replace(path: path, with: bytes) } catch { fatalError("\(error)") }
                            let found = FileManager.default.contents(atPath: path) ?? Data()
                            precondition(Set(found).count == 1 && found.count == 10_000 + Int(found[0]) % 60)
                        }
                    }
                }
            }
        }
        #expect(try names(folder) == ["file"])
    }

    @Test func aFolderIsLockedForOneRun() async throws {
        let folder = NSTemporaryDirectory() + "OutputFileTests-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            let lock = try DirectoryLock(directory: folder)
            let error = try #require(throws: ModelFileError.self) { try DirectoryLock(directory: folder) }
            #expect(error.kind == .inUse && error.found == "process \(getpid())")
            expectGoodMessage(error, path: folder)
            await #expect(processExitsWith: .success) { [folder = folder as String] in
                do throws(ModelFileError) {
                    _ = try DirectoryLock(directory: folder)
                    exit(1)
                } catch {
                    exit(error.kind == .inUse ? 0 : 2)
                }
            }
            withExtendedLifetime(lock) {}
        }
        // Released: by its owner, then by the end of a process.
        await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
            let lock = try DirectoryLock(directory: folder)
            kill(getpid(), SIGKILL)
            withExtendedLifetime(lock) {}
        }
        _ = try DirectoryLock(directory: folder)
        let error = try #require(throws: ModelFileError.self) { try DirectoryLock(directory: "\(folder)/absent") }
        #expect(error.kind == .unwritable)
    }
}
