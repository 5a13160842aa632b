internal import CompactNumerics
internal import CTraining

/// Hints (FitNets: Romero et al. 2015, arXiv:1412.6550): a linear regressor, trained with the student, predicts the outputs of a teacher's
/// hidden layer from those of a student's. Unlike there, student and regressors learn together with the output, not in a stage before.
internal final class HintLoss {
    private final class Hint {
        let studentLayer: Int, teacherLayer: Int
        let weight: Parameter
        let bias: Parameter?
        let predicted = Tensor(), difference = Tensor(), gradient = Tensor()

        init(studentLayer: Int, teacherLayer: Int, weight: Parameter, bias: Parameter?) {
            (self.studentLayer, self.teacherLayer, self.weight, self.bias) = (studentLayer, teacherLayer, weight, bias)
        }
    }

    private let student: TrainableNetwork, teacher: TrainableNetwork
    private let data: LabelledData
    private let factor: Double
    private let hints: [Hint]
    private let input = Tensor()
    private let context = TrainingContext()

    var parameters: [Parameter] { hints.flatMap { [$0.weight] + ($0.bias.map { [$0] } ?? []) } }
    /// The gradients of the last `evaluate` with respect to outputs of the student's layers.
    var gradients: [(layer: Int, gradient: Tensor)] { hints.map { ($0.studentLayer, $0.gradient) } }

    init(
        _ configuration: DistillationConfiguration, student: TrainableNetwork, teacher: TrainableNetwork?, data: LabelledData, seed: UInt64
    ) throws(CompressionError) {
        guard let teacher else {
            throw .outOfRange(what: "hints", allowed: "none without the teacher's network", found: "\(configuration.hints.count)")
        }
        trapUnless(student !== teacher, "hints: expected a teacher other than the student")
        try requireMatch(teacher, data)
        var hints: [Hint] = []
        var generator = SeededGenerator(seed: seed, stream: 0x4814)
        for (number, pair) in configuration.hints.enumerated() {
            let guided = try Self.layer(pair.student, of: student, whose: "student")
            let hint = try Self.layer(pair.teacher, of: teacher, whose: "teacher")
            guard student.layers[...guided].contains(where: { !$0.parameters.isEmpty }) else {
                throw .outOfRange(what: "hint layer of the student", allowed: "one behind a layer with parameters", found: pair.student)
            }
            let (weight, bias) = initialParameters(
                name: "hint\(number).\(pair.student)", outputs: teacher.shapes[hint].count, inputs: student.shapes[guided].count, hasBias: true,
                generator: &generator)
            hints.append(Hint(studentLayer: guided, teacherLayer: hint, weight: weight, bias: bias))
        }
        (self.student, self.teacher, self.data, self.hints, factor) = (student, teacher, data, hints, configuration.hintWeight)
    }

    private static func layer(_ name: String, of network: TrainableNetwork, whose: String) throws(CompressionError) -> Int {
        guard let index = network.layers.firstIndex(where: { $0.name == name }) else {
            let names = network.layers.map(\.name).joined(separator: ", ")
            throw .outOfRange(what: "hint layer of the \(whose)", allowed: "one of \(names)", found: name)
        }
        return index
    }

    /// The weighted sum of the hints' losses for a batch that the student has just seen, each half the mean squared difference over batch
    /// and units; computes the gradients of student and regressors. In float32, whatever the arithmetic of the student.
    func evaluate(_ indices: [Int]) -> Double {
        gather(indices)
        let deepest = hints.map(\.teacherLayer).max() ?? 0
        _ = teacher.forward(input, context: context, through: deepest)
        return factor * hints.reduce(0) { $0 + evaluate($1) }
    }

    private func evaluate(_ hint: Hint) -> Double {
        let features = student.output(ofLayer: hint.studentLayer), target = teacher.output(ofLayer: hint.teacherLayer)
        trapUnless(features.rows == target.rows, "hints: expected a student that has seen \(target.rows) samples, found \(features.rows)")
        for tensor in [hint.predicted, hint.difference] { tensor.reshape(rows: target.rows, columns: target.columns) }
        hint.gradient.reshape(rows: features.rows, columns: features.columns)
        FloatProduct.multiply(features, hint.weight.value, bias: hint.bias?.value, into: hint.predicted, context.parallelism)
        let count = Double(max(1, target.count))
        let sum = ck_squared_difference_f32(
            hint.predicted.pointer, target.pointer, target.count, Float(factor / count), hint.difference.pointer)
        FloatProduct.weightGradients(hint.difference, input: features, weight: hint.weight, bias: hint.bias, context.parallelism)
        FloatProduct.inputGradient(hint.difference, hint.weight.value, into: hint.gradient, context.parallelism)
        return sum / (2 * count)
    }

    private func gather(_ indices: [Int]) {
        input.reshape(rows: indices.count, columns: data.inputs.columns)
        data.inputs.withUnsafeBufferPointer { source in
            indices.withUnsafeBufferPointer { indices in
                guard let source = source.baseAddress, indices.count > 0 else { return }
                indices.withMemoryRebound(to: Int64.self) {
                    ck_gather_rows_f32(source, input.columns, $0.baseAddress!, indices.count, input.pointer)
                }
            }
        }
    }
}
