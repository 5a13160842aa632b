import Foundation

/// Files that a command writes at its end, checked at its beginning: hours of training shall not end in a path that cannot be written.
enum OutputPaths {
    /// - Throws: `BenchmarkError` for an empty path, one in a folder that is not there or cannot be written to, a folder, and one named twice.
    static func check(_ paths: [(option: String, path: String?)]) throws {
        var known: [String: String] = [:]
        for case (let option, let path?) in paths {
            guard !path.isEmpty else { throw BenchmarkError("\(option): expected a path, found none") }
            let url = URL(fileURLWithPath: path).standardizedFileURL
            if let other = known.updateValue(option, forKey: url.path) {
                throw BenchmarkError("\(option): expected another file than that of \(other), found \(path)")
            }
            var isFolder: ObjCBool = false
            if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
                guard !isFolder.boolValue, FileManager.default.isWritableFile(atPath: path) else {
                    throw BenchmarkError("\(option): expected a file that can be written, found \(isFolder.boolValue ? "the folder" : "") \(path)")
                }
                continue
            }
            let folder = url.deletingLastPathComponent().path
            guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue,
                FileManager.default.isWritableFile(atPath: folder)
            else { throw BenchmarkError("\(option) \(path): expected a folder that can be written to, found none") }
        }
    }
}
