public import CompactNumerics

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Fashion-MNIST: 28×28 grey images of ten kinds of clothing (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; MIT licence).
public struct FashionMNIST: Sendable {
    /// The two parts of the data set.
    public enum Part: Sendable, Hashable, CaseIterable {
        /// 60,000 images.
        case training
        /// 10,000 images.
        case test

        fileprivate var prefix: String { self == .training ? "train" : "t10k" }
    }

    /// One image per row, pixels 0…1: shape [images, 784].
    public let images: Matrix
    /// The class of each image, 0…9.
    public let labels: [Int]

    public static let classNames = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]

    /// Where Debian's package `dataset-fashion-mnist` puts the files.
    public static let standardDirectories = [
        "/usr/share/datasets/fashion-mnist", "/usr/local/share/datasets/fashion-mnist", "/usr/share/dataset-fashion-mnist",
    ]

    /// Reads one part from `directory`, or from the first of `standardDirectories` that has it.
    ///
    /// Files have their usual names, such as `train-images-idx3-ubyte`, with or without `.gz`.
    ///
    /// - Throws: `ModelFileError` if the files are absent, damaged or not of this data set's shape.
    public init(_ part: Part, from directory: String? = nil) throws(ModelFileError) {
        let directories = directory.map { [$0] } ?? Self.standardDirectories
        let imageFile = try IDXFile(path: Self.find("\(part.prefix)-images-idx3-ubyte", in: directories))
        let labelFile = try IDXFile(path: Self.find("\(part.prefix)-labels-idx1-ubyte", in: directories))
        guard imageFile.shape.count == 3, imageFile.shape[1...] == [28, 28] else {
            throw ModelFileError(
                .mismatch, path: imageFile.path, what: "sizes of Fashion-MNIST images", expected: "[images, 28, 28]", found: "\(imageFile.shape)")
        }
        images = try imageFile.images()
        labels = try labelFile.labels()
        guard labels.count == images.rows else {
            throw ModelFileError(
                .mismatch, path: labelFile.path, what: "labels", expected: "one for each of \(images.rows) images", found: "\(labels.count)")
        }
        if let wrong = labels.first(where: { $0 > 9 }) {
            throw ModelFileError(.mismatch, path: labelFile.path, what: "labels", expected: "classes 0…9", found: "\(wrong)")
        }
    }

    private static func find(_ name: String, in directories: [String]) throws(ModelFileError) -> String {
        for directory in directories {
            for path in ["\(directory)/\(name).gz", "\(directory)/\(name)"] where access(path, R_OK) == 0 {
                return path
            }
        }
        throw ModelFileError(
            .unreadable, path: "\(directories[0])/\(name).gz", what: "Fashion-MNIST", expected: "the files of Debian's package dataset-fashion-mnist",
            found: "none (apt-get install dataset-fashion-mnist; on other systems name the folder that its four files are in)")
    }
}
