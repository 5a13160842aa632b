internal import CompactNumerics
public import ModelFiles

extension LabelledData {
    /// Images and labels from IDX files (MNIST's format) of any size: pixels 0…1, sizes [images, height, width], with channels behind them where
    /// there are several, or [samples, numbers].
    ///
    /// - Parameter classes: more than the largest label; the largest label and one by default.
    /// - Throws: `CompressionError.file` for elements that are no images or labels, `.shapeMismatch` and `.outOfRange` as `init(inputs:…)`.
    public init(images: IDXFile, labels: IDXFile, classes: Int? = nil) throws(CompressionError) {
        let (inputs, classNumbers) = try CompressionError.wrapping { (try images.images(), try labels.labels()) }
        let sizes = images.shape.dropFirst().map { $0 }
        guard sizes.count <= 3 else {
            throw .shapeMismatch(
                what: "\(images.path): sizes", expected: "[images, height, width] or [images, height, width, channels]", found: "\(images.shape)")
        }
        let shape =
            sizes.count == 1 ? SampleShape(sizes[0]) : SampleShape(height: sizes[0], width: sizes[1], channels: sizes.count == 3 ? sizes[2] : 1)
        try self.init(inputs: inputs, labels: classNumbers, classes: classes ?? (classNumbers.max() ?? -1) + 1, shape: shape)
    }

    /// Training and test samples from a folder of IDX files, as `IDXFolder` finds them; where it holds a single pair of files, a fifth of the
    /// samples, drawn by `seed`, is for testing.
    ///
    /// - Throws: `CompressionError.file` for files that are absent, ambiguous or damaged, `.shapeMismatch` where images of both parts differ in size.
    public static func imagesAndLabels(
        in folder: String, seed: UInt64 = 0
    ) throws(CompressionError) -> (training: LabelledData, test: LabelledData) {
        let files = try CompressionError.wrapping { try IDXFolder(path: folder) }
        guard let test = files.test else {
            return try LabelledData(images: files.training.images, labels: files.training.labels).split(seed: seed)
        }
        let labels = try CompressionError.wrapping { try files.training.labels.labels() + test.labels.labels() }
        let classes = (labels.max() ?? -1) + 1
        let parts = (
            training: try LabelledData(images: files.training.images, labels: files.training.labels, classes: classes),
            test: try LabelledData(images: test.images, labels: test.labels, classes: classes)
        )
        guard parts.training.shape == parts.test.shape else {
            throw .shapeMismatch(what: "images of \(test.images.path)", expected: "\(parts.training.shape)", found: "\(parts.test.shape)")
        }
        return parts
    }
}
