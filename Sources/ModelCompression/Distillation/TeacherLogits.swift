public import CompactNumerics
internal import ModelFiles

/// A teacher's logits of all samples, computed once: rows × classes float32, 4 bytes each (2.4 MB for 60,000 samples of ten classes).
public struct TeacherLogits: Sendable {
    private static let kind = "swift-model-compression teacher logits 1"

    /// [samples, classes], in the order of the data.
    public let logits: Matrix

    /// Number of samples.
    public var count: Int { logits.rows }
    public var classes: Int { logits.columns }
    /// Bytes of the logits.
    public var byteCount: Int { count * classes * MemoryLayout<Float>.stride }

    /// Logits from anywhere, such as another program.
    ///
    /// - Throws: `CompressionError.notFinite` for NaN or infinity.
    public init(_ logits: Matrix) throws(CompressionError) {
        if let (row, column) = logits.firstNonFinite { throw .notFinite(what: "logits of the teacher", row: row, column: column) }
        self.logits = logits
    }

    /// One pass of `teacher` over `data`, `batchSize` samples at a time, without dropout and with running statistics.
    ///
    /// - Throws: `CompressionError.shapeMismatch` where teacher and data do not fit, among them a teacher of other classes, `.outOfRange`
    ///   for a batch size or number of threads below 1, `.notFinite` if the teacher gives NaN or infinity.
    public init(
        of teacher: TrainableNetwork, on data: LabelledData, batchSize: Int = 500, threads: Int = 1
    ) throws(CompressionError) {
        try requireMatch(teacher, data)
        for (what, value) in [("batch size", batchSize), ("threads", threads)] where value < 1 {
            throw .outOfRange(what: what, allowed: "at least 1", found: "\(value)")
        }
        let context = TrainingContext(parallelism: Parallelism(threads: threads))
        let input = Tensor()
        var logits = Matrix(rows: data.count, columns: data.classes)
        logits.withUnsafeMutableBufferPointer { target in
            data.inputs.withUnsafeBufferPointer { source in
                for start in stride(from: 0, to: data.count, by: batchSize) {
                    input.reshape(rows: min(batchSize, data.count - start), columns: data.inputs.columns)
                    input.pointer.update(from: source.baseAddress! + start * input.columns, count: input.count)
                    let output = teacher.forward(input, context: context)
                    (target.baseAddress! + start * data.classes).update(from: output.pointer, count: output.count)
                }
            }
        }
        try self.init(logits)
    }

    /// Writes a safetensors file with one tensor, "logits". It appears complete or not at all; one that was at `path` stays until then.
    ///
    /// - Throws: `CompressionError.file` if the system refuses.
    public func save(to path: String) throws(CompressionError) {
        try CompressionError.wrapping {
            try SafetensorsFile.write([TensorContent(name: "logits", matrix: logits)], metadata: ["kind": Self.kind], to: path)
        }
    }

    /// Reads what `save` wrote.
    ///
    /// - Throws: `CompressionError.file` if it cannot be read or is no safetensors file, `.damagedFile` if it holds something else,
    ///   `.notFinite` for NaN or infinity.
    public init(contentsOf path: String) throws(CompressionError) {
        let file = try CompressionError.wrapping { try SafetensorsFile(path: path) }
        guard file.metadata.holds(Self.kind, named: "kind") else {
            throw .damagedFile(path: path, what: "kind of file", expected: Self.kind, found: file.metadata["kind"] ?? "none")
        }
        guard let tensor = file.tensors.first(where: { $0.name == "logits" }), tensor.type == .f32, tensor.shape.count == 2 else {
            throw .damagedFile(path: path, what: "tensors", expected: "\"logits\", float32 [samples, classes]", found: "\(file.tensors)")
        }
        try self.init(try CompressionError.wrapping { try file.matrix(named: "logits") })
    }
}
