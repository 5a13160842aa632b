internal import Foundation

/// The images and labels of a folder of IDX files, as MNIST and sets of its form have them, found by their contents.
///
/// An IDX file of one dimension holds labels, one of more holds images. Files with "train" in their names, in either case, are for training,
/// those with "t10k" or "test" for testing; a folder without such names may hold a single pair. Files that are no IDX files are passed over,
/// unless they have "idx" in their names. Where a file is there with and without `.gz`, the compressed one is read.
public struct IDXFolder: Sendable {
    /// Images and one label for each of them.
    public struct Pair: Sendable {
        public let images: IDXFile
        public let labels: IDXFile
    }

    public let path: String
    public let training: Pair
    /// nil where the folder holds a single pair.
    public let test: Pair?

    /// Reads the files of a folder.
    ///
    /// - Throws: `ModelFileError` if it cannot be read, lacks a file, holds several that could be meant, or one that is damaged, or if images and
    ///   labels differ in number.
    public init(path: String) throws(ModelFileError) {
        self.path = path
        let files = try Self.files(in: path)
        let training = files.filter { $0.isTraining }, test = files.filter { $0.isTest }
        if training.isEmpty, test.isEmpty {
            (self.training, self.test) = (try Self.pair(files, of: "images and labels", path), nil)
        } else {
            (self.training, self.test) = (try Self.pair(training, of: "training", path), try Self.pair(test, of: "testing", path))
        }
    }

    private struct File {
        let name: String
        let isLabels: Bool
        var isTraining: Bool { name.lowercased().contains("train") }
        var isTest: Bool { ["t10k", "test"].contains { name.lowercased().contains($0) } }
    }

    private static func files(in folder: String) throws(ModelFileError) -> [File] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw ModelFileError(.unreadable, path: folder, what: "folder of IDX files", expected: "one that can be read", found: "none")
        }
        var files: [File] = []
        for name in names where !name.hasPrefix(".") && !names.contains(name + ".gz") {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder), !isFolder.boolValue else { continue }
            do throws(ModelFileError) {
                files.append(File(name: name, isLabels: try IDXFile.header(path: "\(folder)/\(name)").shape.count == 1))
            } catch {
                // Some other file; but one that is called so, or that cannot be read, may be a damaged one.
                guard error.kind == .malformed || error.kind == .truncated, !name.lowercased().contains("idx") else { throw error }
            }
        }
        return files
    }

    private static func pair(_ files: [File], of part: String, _ folder: String) throws(ModelFileError) -> Pair {
        func only(_ isLabels: Bool) throws(ModelFileError) -> IDXFile {
            let found = files.filter { $0.isLabels == isLabels }
            guard found.count == 1 else {
                throw ModelFileError(
                    found.isEmpty ? .unreadable : .mismatch, path: folder, what: "IDX files of \(part)",
                    expected: isLabels ? "one of labels (1 dimension)" : "one of images (2 dimensions or more)",
                    found: found.isEmpty ? "none" : found.map(\.name.quoted).joined(separator: ", "))
            }
            return try IDXFile(path: "\(folder)/\(found[0].name)")
        }
        if let both = files.first(where: { $0.isTraining && $0.isTest }) {
            throw ModelFileError(
                .mismatch, path: folder, what: "names of IDX files", expected: "\"train\", or else \"t10k\" or \"test\"", found: both.name.quoted)
        }
        let pair = Pair(images: try only(false), labels: try only(true))
        guard pair.images.shape[0] == pair.labels.shape[0] else {
            throw ModelFileError(
                .mismatch, path: pair.labels.path, what: "labels", expected: "one for each of \(pair.images.shape[0]) images",
                found: "\(pair.labels.shape[0])")
        }
        return pair
    }
}
