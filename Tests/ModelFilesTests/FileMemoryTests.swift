import Foundation
@testable import ModelFiles
import Testing

/// No reader takes more than 16 times a file's bytes and 64 MB. Each file is opened in a process of its own, whose largest memory is compared
/// before and after.
@Suite(.serialized) struct FileMemoryTests {
    enum Case: String, CaseIterable, Codable {
        case tensors, metadata, oneName, escapes, numbers, promises
        case plainPromise, gzipPromise, gzipShort, gzipBomb, gzipFull, plain
    }

    @Test(arguments: Case.allCases)
    func opening(file: Case) async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) { [file = file.rawValue as String] in
            guard let file = Case(rawValue: file) else { exit(3) }
            let path = NSTemporaryDirectory() + "FileMemoryTests-\(UUID().uuidString)"
            let size = try file.write(to: path)
            forgetLargestMemory()
            let before = largestMemory()
            var outcome = "opened"
            do throws(ModelFileError) {
                switch file {
                case .tensors, .metadata, .oneName, .escapes, .numbers, .promises: _ = try SafetensorsFile(path: path)
                default: _ = try IDXFile(path: path)
                }
            } catch {
                outcome = "refused"
            }
            // What does not arrive takes nothing.
            let taken = largestMemory() - before, allowed = file == .gzipShort ? 16 << 20 : 16 * size + 64 << 20
            unlink(path)
            print("FileMemoryTests: \(file) of \(size) bytes \(outcome): \(taken >> 20) MB of \(allowed >> 20) allowed")
            fflush(nil)
            exit(taken <= allowed && (outcome == "opened") == file.isSound ? 0 : 1)
        }
        let output = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self)
        print(output.split(separator: "\n").filter { $0.contains("FileMemoryTests:") }.joined(separator: "\n"))
    }
}

/// Linux counts anew from what is resident now; elsewhere what was made here hides as much of what is measured.
private func forgetLargestMemory() {
    #if os(Linux)
        try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
    #endif
}

/// The largest resident memory of this process so far, in bytes.
private func largestMemory() -> Int {
    #if os(Linux)
        // getrusage would count what the parent held when it forked.
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
        return (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) << 10
    #else
        var usage = rusage()
        getrusage(RUSAGE_SELF, &usage)
        return Int(usage.ru_maxrss)
    #endif
}

extension FileMemoryTests.Case {
    var isSound: Bool {
        switch self {
        case .promises, .plainPromise, .gzipPromise, .gzipShort, .gzipBomb: false
        default: true
        }
    }

    /// Writes the file and returns its size.
    func write(to path: String) throws -> Int {
        try Data().write(to: URL(fileURLWithPath: path))
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        defer { try? handle.close() }
        switch self {
        case .tensors: return try header(handle, "{\"\":\(Self.tensor)", ",\"%%%%\":\(Self.tensor)", "}")
        case .metadata: return try header(handle, "{\"__metadata__\":{\"\":\"\"", ",\"%%%%\":\"\"", "}}")
        case .oneName: return try header(handle, "{\"", "xxxxxxxx", "\":\(Self.tensor)}")
        case .escapes: return try header(handle, "{\"", "\\n", "\":\(Self.tensor)}")
        case .numbers: return try header(handle, #"{"t":{"dtype":"U8","data_offsets":[0,0],"shape":[0"#, ",1", "]}}")
        case .promises: return try append(handle, safetensors(#"{"t":{"dtype":"F64","shape":[1000000000],"data_offsets":[0,8000000000]}}"#))
        case .plainPromise: return try append(handle, idx([1 << 31], [1, 2, 3]))
        // Three megabytes can hold two gigabytes, or 60 MB, but these do not: the header promises what never comes.
        case .gzipPromise: return try append(handle, gzip(idx([2_000_000_000], [UInt8](repeating: 1, count: 3_000_000))))
        case .gzipShort: return try append(handle, gzip(idx([60_000_000], [UInt8](repeating: 1, count: 3_000_000))))
        case .gzipBomb: return try append(handle, Self.deflatedZeros(200_000_000))
        // As much as is allowed of a small file.
        case .gzipFull: return try append(handle, Self.deflatedZeros(40_000_000))
        case .plain:
            return try append(handle, idx([100_000_000], []))
                + (0..<100).reduce(0) { sum, _ in try sum + append(handle, [UInt8](repeating: 3, count: 1_000_000)) }
        }
    }

    private func append(_ handle: FileHandle, _ bytes: [UInt8]) throws -> Int {
        try handle.write(contentsOf: bytes)
        return bytes.count
    }

    private static let tensor = #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#

    /// A file of a header of 30 MB.
    private func header(_ handle: FileHandle, _ begin: String, _ template: String, _ end: String) throws -> Int {
        let length = 30_000_000
        var size = try append(handle, withUnsafeBytes(of: UInt64(length)) { Array($0) } + Array(begin.utf8)), index = 0
        let step = 50_000 / template.utf8.count
        while size < length - 100_000 {
            size += try append(handle, repeated(template, index..<index + step))
            index += step
        }
        return try size + append(handle, Array(end.utf8) + [UInt8](repeating: 0x20, count: 8 + length - size - end.utf8.count))
    }

    /// An IDX file of zeros in gzip, by the program: one byte for a thousand.
    private static func deflatedZeros(_ count: Int) throws -> [UInt8] {
        let process = Process(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let size = withUnsafeBytes(of: UInt32(count).bigEndian) { $0.map { "\\0" + String($0, radix: 8) }.joined() }
        process.arguments = ["-c", "{ printf '%b' '\\0000\\0000\\0010\\0001\(size)'; head -c \(count) /dev/zero; } | gzip"]
        process.standardOutput = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Array(bytes)
    }
}
