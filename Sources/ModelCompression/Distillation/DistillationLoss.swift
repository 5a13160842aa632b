internal import CompactNumerics
internal import CTraining

/// Distillation as the loss of a `Trainer`: any network can be the student, masked and quantized ones included.
///
///     let logits = try TeacherLogits(of: teacher, on: data)
///     let loss = try DistillationLoss(.init(temperature: 2), student: student, data: data, teachers: [logits])
///     _ = try Trainer(student, data: data, configuration: configuration, loss: loss).run()
public final class DistillationLoss: TrainingLoss {
    public let configuration: DistillationConfiguration
    /// In the order given, with weights that sum to 1.
    public let teachers: [(logits: TeacherLogits, weight: Double)]
    /// The share of the hints in the loss of the last batch.
    public private(set) var lastHintLoss = 0.0
    private let hasLabel: [UInt8]?
    private let hints: HintLoss?
    private let samples: Int
    private let classes: Int
    private let targets = Tensor()
    private var batchHasLabel: [UInt8] = []

    /// Trained with the student: the regressors of the hints.
    public var parameters: [Parameter] { hints?.parameters ?? [] }
    public var hiddenGradients: [(layer: Int, gradient: Tensor)] { hints?.gradients ?? [] }

    /// A loss for training `student` on `data`.
    ///
    /// - Parameters:
    ///   - teachers: logits of all samples of `data`, one for each teacher; their softened probabilities are averaged.
    ///   - weights: of the teachers, in the mean; equal ones by default.
    ///   - hasLabel: which samples count as labelled; all by default. The labels of others are never used.
    ///   - hintTeacher: the network whose hidden layers are the hints; runs again in each step, as hidden outputs are not cached.
    ///   - seed: of the regressors' first weights.
    /// - Throws: the errors of `DistillationConfiguration.validate`; `CompressionError.shapeMismatch` for logits of another number of
    ///   samples or classes, or other counts of weights or labels; `.outOfRange` without teachers, for weights that are negative or all 0,
    ///   for a hint layer that does not exist or comes before all parameters, and for hints without `hintTeacher`.
    public init(
        _ configuration: DistillationConfiguration, student: TrainableNetwork, data: LabelledData, teachers: [TeacherLogits],
        weights: [Double]? = nil, hasLabel: [Bool]? = nil, hintTeacher: TrainableNetwork? = nil, seed: UInt64 = 0
    ) throws(CompressionError) {
        try configuration.validate()
        try requireMatch(student, data)
        let weights = try Self.normalized(weights, of: teachers)
        for logits in teachers {
            guard logits.classes == data.classes else {
                throw .shapeMismatch(what: "classes of the teacher", expected: "\(data.classes)", found: "\(logits.classes)")
            }
            guard logits.count == data.count else {
                throw .shapeMismatch(what: "cached logits of the teacher", expected: "\(data.count) rows", found: "\(logits.count)")
            }
        }
        if let hasLabel, hasLabel.count != data.count {
            throw .shapeMismatch(what: "marks of labelled samples", expected: "\(data.count)", found: "\(hasLabel.count)")
        }
        (self.configuration, samples, classes) = (configuration, data.count, data.classes)
        self.teachers = zip(teachers, weights).map { ($0, $1) }
        self.hasLabel = hasLabel?.map { $0 ? 1 : 0 }
        hints =
            try configuration.hints.isEmpty
            ? nil : HintLoss(configuration, student: student, teacher: hintTeacher, data: data, seed: seed)
    }

    private static func normalized(_ weights: [Double]?, of teachers: [TeacherLogits]) throws(CompressionError) -> [Double] {
        guard !teachers.isEmpty else { throw .outOfRange(what: "teachers", allowed: "at least 1", found: "0") }
        let weights = weights ?? teachers.map { _ in 1 }
        guard weights.count == teachers.count else {
            throw .shapeMismatch(what: "weights of teachers", expected: "\(teachers.count)", found: "\(weights.count)")
        }
        let sum = weights.reduce(0, +)
        guard weights.allSatisfy({ $0 >= 0 }), sum > 0, sum.isFinite else {
            throw .outOfRange(what: "weights of teachers", allowed: "numbers of at least 0 with a positive, finite sum", found: "\(weights)")
        }
        return weights.map { $0 / sum }
    }

    /// The mean loss over the batch, with the hints' share; samples without a label count in the mean.
    public func evaluate(_ logits: Tensor, batch: Batch, gradient: Tensor) -> Double {
        trapUnless(
            logits.columns == classes && batch.indices.count == logits.rows && batch.labels.count == logits.rows,
            "distillation: expected a batch of \(logits.rows) samples and \(classes) classes, found \(batch.indices.count) indices, "
                + "\(batch.labels.count) labels and \(logits.columns) columns")
        trapUnless(batch.indices.allSatisfy { (0..<samples).contains($0) }, "distillation: expected indices of \(samples) samples")
        guard logits.rows > 0 else { return 0 }
        let rows = Double(logits.rows)
        let sum = Self.withInt64(batch.indices) { indices in
            soften(indices, count: logits.rows)
            return Self.withInt64(batch.labels) { labels in
                withLabelMarks(indices, count: logits.rows) { marks in
                    ck_distillation_f32(
                        logits.pointer, logits.rows, classes, targets.pointer, labels, marks, configuration.temperature,
                        configuration.softWeight, 1 / rows, gradient.pointer)
                }
            }
        }
        lastHintLoss = hints?.evaluate(batch.indices) ?? 0
        return sum / rows + lastHintLoss
    }

    /// The weighted mean of the teachers' probabilities at the configured temperature, [indices, classes].
    ///
    /// - Precondition: `indices` are indices of samples.
    public func softTargets(_ indices: [Int]) -> Tensor {
        trapUnless(indices.allSatisfy { (0..<samples).contains($0) }, "distillation: expected indices of \(samples) samples")
        Self.withInt64(indices) { soften($0, count: indices.count) }
        return targets.copy()
    }

    private func soften(_ indices: UnsafePointer<Int64>, count: Int) {
        targets.reshape(rows: count, columns: classes)
        targets.fill(0)
        for (teacher, weight) in teachers where weight > 0 {
            teacher.logits.withUnsafeBufferPointer { source in
                guard let source = source.baseAddress else { return }
                ck_add_softened_f32(source, indices, count, classes, configuration.temperature, weight, targets.pointer)
            }
        }
    }

    private func withLabelMarks<Result>(
        _ indices: UnsafePointer<Int64>, count: Int, _ body: (UnsafePointer<UInt8>?) -> Result
    ) -> Result {
        guard let hasLabel else { return body(nil) }
        if batchHasLabel.count < count { batchHasLabel = [UInt8](repeating: 0, count: count) }
        batchHasLabel.withUnsafeMutableBufferPointer { ck_gather_u8(hasLabel, indices, count, $0.baseAddress!) }
        return batchHasLabel.withUnsafeBufferPointer { body($0.baseAddress) }
    }

    private static func withInt64<Result>(_ values: [Int], _ body: (UnsafePointer<Int64>) -> Result) -> Result {
        values.withUnsafeBufferPointer { values in
            guard values.count > 0 else { return withUnsafeTemporaryAllocation(of: Int64.self, capacity: 1) { body($0.baseAddress!) } }
            return values.withMemoryRebound(to: Int64.self) { body($0.baseAddress!) }
        }
    }
}
