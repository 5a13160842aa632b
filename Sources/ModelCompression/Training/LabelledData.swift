public import CompactNumerics
internal import Foundation
public import ModelFiles

/// Samples with a class each.
public struct LabelledData: Sendable {
    /// One sample per row: [samples, numbers of a sample].
    public let inputs: Matrix
    /// The class of each sample, 0..<classes.
    public let labels: [Int]
    /// Number of classes.
    public let classes: Int
    /// The shape of one sample.
    public let shape: SampleShape
    /// One for each class, where known.
    public let classNames: [String]?
    /// One for each number of a sample, where known.
    public let featureNames: [String]?

    /// Number of samples.
    public var count: Int { labels.count }

    /// Data that is checked.
    ///
    /// - Throws: `CompressionError.shapeMismatch` unless there is one label for each row, rows have as many numbers as `shape`, and names are as
    ///   many as classes and as these numbers; `.outOfRange` for a label that is no class or fewer than one class, `.notFinite` for NaN or
    ///   infinity.
    public init(
        inputs: Matrix, labels: [Int], classes: Int, shape: SampleShape, classNames: [String]? = nil, featureNames: [String]? = nil
    ) throws(CompressionError) {
        guard inputs.columns == shape.count, min(shape.height, shape.width, shape.channels) > 0 else {
            throw .shapeMismatch(what: "numbers of a sample", expected: "\(shape.count) (\(shape))", found: "\(inputs.columns)")
        }
        guard labels.count == inputs.rows else {
            throw .shapeMismatch(what: "labels", expected: "one for each of \(inputs.rows) samples", found: "\(labels.count)")
        }
        guard (1...1 << 24).contains(classes) else { throw .outOfRange(what: "classes", allowed: "1…\(1 << 24)", found: "\(classes)") }
        if let wrong = labels.firstIndex(where: { !(0..<classes).contains($0) }) {
            throw .outOfRange(what: "label of sample \(wrong)", allowed: "0…\(classes - 1)", found: "\(labels[wrong])")
        }
        for (what, names, count) in [("names of classes", classNames, classes), ("names of features", featureNames, shape.count)] {
            guard let names, names.count != count else { continue }
            throw .shapeMismatch(what: what, expected: "\(count)", found: "\(names.count)")
        }
        if let (row, column) = inputs.firstNonFinite { throw .notFinite(what: "samples", row: row, column: column) }
        (self.inputs, self.labels, self.classes, self.shape) = (inputs, labels, classes, shape)
        (self.classNames, self.featureNames) = (classNames, featureNames)
    }

    internal func replacingInputs(_ inputs: Matrix) -> LabelledData { LabelledData(checked: inputs, labels: labels, like: self) }

    private init(checked inputs: Matrix, labels: [Int], like other: LabelledData) {
        (self.inputs, self.labels, classes, shape) = (inputs, labels, other.classes, other.shape)
        (classNames, featureNames) = (other.classNames, other.featureNames)
    }

    /// The first `count` samples, or all if there are fewer.
    public func prefix(_ count: Int) -> LabelledData {
        selecting(Array(0..<max(0, min(count, self.count))))
    }

    /// The samples at `indices`, in that order.
    ///
    /// - Precondition: they are indices of samples.
    public func selecting(_ indices: [Int]) -> LabelledData {
        var rows = Matrix(rows: indices.count, columns: inputs.columns)
        rows.withUnsafeMutableBufferPointer { target in
            inputs.withUnsafeBufferPointer { source in
                for (position, index) in indices.enumerated() {
                    trapUnless((0..<count).contains(index), "sample: expected an index in 0..<\(count), found \(index)")
                    (target.baseAddress! + position * inputs.columns).update(
                        from: source.baseAddress! + index * inputs.columns, count: inputs.columns)
                }
            }
        }
        return LabelledData(checked: rows, labels: indices.map { labels[$0] }, like: self)
    }
}

extension LabelledData {
    /// Fashion-MNIST: pixels 0…1, 28×28×1, ten classes. `imagesAndLabels(in:)` reads other sets of this form.
    ///
    /// - Throws: `CompressionError.file` if the files are absent or damaged.
    public static func fashionMNIST(_ part: FashionMNIST.Part, from directory: String? = nil) throws(CompressionError) -> LabelledData {
        let data = try CompressionError.wrapping { try FashionMNIST(part, from: directory) }
        return try LabelledData(
            inputs: data.images, labels: data.labels, classes: 10, shape: SampleShape(height: 28, width: 28, channels: 1),
            classNames: FashionMNIST.classNames)
    }

    /// UCI's handwritten digits, shipped with this module: 1,797 images 8×8, pixels 0…1, ten classes, of which 1,437 are for training and
    /// 360 for testing, drawn by a fixed seed (Alpaydin and Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0).
    ///
    /// - Throws: `CompressionError.file` if the module's resources are absent.
    public static func digits(_ part: FashionMNIST.Part) throws(CompressionError) -> LabelledData {
        func resource(_ name: String) throws(CompressionError) -> IDXFile {
            guard let url = Bundle.module.url(forResource: name, withExtension: nil) else {
                throw .damagedFile(path: name, what: "resource", expected: "it in the bundle of ModelCompression", found: "none")
            }
            return try CompressionError.wrapping { try IDXFile(path: url.path) }
        }
        let images = try resource("digits-images-idx3-ubyte.gz"), labels = try resource("digits-labels-idx1-ubyte.gz")
        let pixels = try CompressionError.wrapping {
            try Matrix(rows: labels.bytes.count, columns: 64, elements: images.bytes.map { Float($0) / 16 })
        }
        let all = try LabelledData(
            inputs: pixels, labels: labels.bytes.map(Int.init), classes: 10, shape: SampleShape(height: 8, width: 8, channels: 1))
        var order = Array(0..<all.count)
        var generator = SeededGenerator(seed: 1998)
        generator.shuffle(&order)
        return all.selecting(Array(part == .training ? order[..<1437] : order[1437...]))
    }
}
