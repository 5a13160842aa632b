import CompactNumerics
import Foundation
@testable import ModelCompression
import Testing

@Suite struct DistillationTests {
    private let data: LabelledData
    private let teacher: TrainableNetwork

    init() throws {
        data = try Small.data(12, shape: SampleShape(6), classes: 4)
        teacher = try TrainableNetwork.mlp([6, 10, 4], seed: 8)
    }

    private func softmax(_ z: [Double], _ temperature: Double) -> [Double] {
        let top = z.max()!, terms = z.map { exp(($0 - top) / temperature) }, sum = terms.reduce(0, +)
        return terms.map { $0 / sum }
    }

    /// The loss by its formula in float64, and its gradient by central differences.
    @Test(arguments: [0.5, 1, 4], [0, 0.3, 1]) func lossAndGradientFollowTheFormula(temperature: Double, weight: Double) throws {
        let student = try TrainableNetwork.mlp([6, 5, 4], seed: 3)
        let second = try TrainableNetwork.mlp([6, 7, 4], seed: 9)
        let caches = try [TeacherLogits(of: teacher, on: data, batchSize: 5), TeacherLogits(of: second, on: data)]
        let hasLabel = (0..<12).map { $0 % 3 != 0 }
        let loss = try DistillationLoss(
            DistillationConfiguration(temperature: temperature, softWeight: weight), student: student, data: data, teachers: caches, weights: [3, 1],
            hasLabel: hasLabel)
        let indices = [7, 0, 3, 11, 4], batch = Batch(indices: indices, labels: indices.map { data.labels[$0] })
        var generator = SeededGenerator(seed: 2)
        let logits = generator.tensor(5, 4), gradient = Tensor(rows: 5, columns: 4)
        func value(_ z: [Double]) -> Double {
            var sum = 0.0
            for (row, index) in indices.enumerated() {
                let x = Array(z[row * 4..<row * 4 + 4])
                let targets = caches.map { cache in softmax((0..<4).map { Double(cache.logits[index, $0]) }, temperature) }
                let p = (0..<4).map { 0.75 * targets[0][$0] + 0.25 * targets[1][$0] }, q = softmax(x, temperature)
                sum += weight * temperature * temperature * zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
                if hasLabel[index] { sum -= (1 - weight) * log(softmax(x, 1)[data.labels[index]]) }
            }
            return sum / 5
        }
        let z = logits.elements.map(Double.init)
        #expect(abs(loss.evaluate(logits, batch: batch, gradient: gradient) - value(z)) < 1e-6)
        for index in z.indices {
            var (up, down) = (z, z)
            up[index] += 1e-5
            down[index] -= 1e-5
            #expect(abs(Double(gradient.pointer[index]) - (value(up) - value(down)) / 2e-5) < 1e-6)
        }
    }

    @Test func withoutSoftTargetsItIsCrossEntropy() throws {
        let student = try TrainableNetwork.mlp([6, 5, 4], seed: 3)
        let loss = try DistillationLoss(
            DistillationConfiguration(temperature: 3, softWeight: 0), student: student, data: data, teachers: [TeacherLogits(of: teacher, on: data)])
        var generator = SeededGenerator(seed: 2)
        let logits = generator.tensor(12, 4), (a, b) = (Tensor(rows: 12, columns: 4), Tensor(rows: 12, columns: 4))
        let batch = Batch(indices: Array(0..<12), labels: data.labels)
        let expected = CrossEntropy().evaluate(logits, batch: batch, gradient: b)
        #expect(abs(loss.evaluate(logits, batch: batch, gradient: a) - expected) < 1e-12)
        for index in 0..<48 { #expect(abs(a.pointer[index] - b.pointer[index]) <= 1e-7) }
    }

    @Test func cachesHoldTheTeachersOutputs() throws {
        let cache = try TeacherLogits(of: teacher, on: data, batchSize: 5), direct = teacher.predict(data.inputs)
        for row in 0..<12 { for column in 0..<4 { #expect(abs(cache.logits[row, column] - direct[row, column]) <= 1e-6) } }
        try withTemporaryFile { path in
            try cache.save(to: path)
            let read = try TeacherLogits(contentsOf: path)
            for row in 0..<12 { for column in 0..<4 { #expect(read.logits[row, column] == cache.logits[row, column]) } }
            try teacher.saveWeights(to: path)
            #expect(throws: CompressionError.self) { try TeacherLogits(contentsOf: path) }
        }
    }

    /// Gradients of weights, through hint and regressor, against differences of the whole loss in float64.
    @Test func hintsHaveTheRightGradients() throws {
        let student = try TrainableNetwork.mlp([6, 5, 4], seed: 3)
        let configuration = DistillationConfiguration(
            temperature: 2, softWeight: 0.5, hints: [HintPair(student: "fc1", teacher: "fc1")], hintWeight: 3)
        let loss = try DistillationLoss(
            configuration, student: student, data: data, teachers: [TeacherLogits(of: teacher, on: data)], hintTeacher: teacher)
        let batch = Batch(indices: Array(0..<12), labels: data.labels), context = TrainingContext(isTraining: true)
        let input = Tensor(data.inputs), gradient = Tensor(rows: 12, columns: 4)
        func value() -> Double { loss.evaluate(student.forward(input, context: context), batch: batch, gradient: gradient) }
        _ = value()
        student.backward(gradient, hidden: loss.hiddenGradients, context: context)
        #expect(loss.lastHintLoss > 0 && loss.parameters.count == 2)
        for parameter in student.parameters + loss.parameters {
            let gradients = parameter.gradient.elements
            for index in stride(from: 0, to: parameter.value.count, by: 3) {
                let before = parameter.value.pointer[index], step: Float = 1e-2
                parameter.value.pointer[index] = before + step
                let up = value()
                parameter.value.pointer[index] = before - step
                let down = value()
                parameter.value.pointer[index] = before
                #expect(abs(Double(gradients[index]) - (up - down) / Double(2 * step)) < 2e-3, "\(parameter.name)[\(index)]")
            }
        }
    }

    @Test func aStudentLearnsFromSoftTargetsAlone() throws {
        let (train, test) = (try LabelledData.digits(.training), try LabelledData.digits(.test))
        let teacher = try TrainableNetwork.mlp([64, 100, 10], seed: 1)
        _ = try Trainer(teacher, data: train, configuration: TrainerConfiguration(epochs: 10, batchSize: 50, learningRate: 3e-3)).run()
        let student = try TrainableNetwork.mlp([64, 20, 10], seed: 2)
        // Labels are all wrong, and marked so.
        let unlabelled = try LabelledData(inputs: train.inputs, labels: train.labels.map { ($0 + 1) % 10 }, classes: 10, shape: train.shape)
        let loss = try DistillationLoss(
            DistillationConfiguration(temperature: 2, softWeight: 0.9), student: student, data: unlabelled,
            teachers: [TeacherLogits(of: teacher, on: train)], hasLabel: train.labels.map { _ in false })
        _ = try Trainer(student, data: unlabelled, configuration: TrainerConfiguration(epochs: 15, batchSize: 50, learningRate: 5e-3), loss: loss)
            .run()
        #expect(try evaluate(student, test) > 0.93)
    }

    /// Regressors are part of a checkpoint, so a resumed run gives the same bits; the student is one of quantization-aware training.
    @Test func aQuantizedStudentWithHintsResumes() throws {
        let train = try LabelledData.digits(.training).prefix(300)
        let teacher = try TrainableNetwork.mlp([64, 30, 10], seed: 1), logits = try TeacherLogits(of: teacher, on: train)
        let configuration = TrainerConfiguration(epochs: 2, batchSize: 50, learningRate: 5e-3)
        func trainer(_ path: String? = nil) throws -> Trainer {
            let student = try TrainableNetwork.mlp([64, 20, 10], seed: 2)
            try student.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w2a8)))
            let hints = DistillationConfiguration(hints: [HintPair(student: "relu1", teacher: "relu1")])
            let loss = try DistillationLoss(hints, student: student, data: train, teachers: [logits], hintTeacher: teacher)
            return try Trainer(student, data: train, configuration: configuration, loss: loss, checkpointPath: path)
        }
        let whole = try trainer()
        _ = try whole.run()
        try withTemporaryFile { path in
            let first = try trainer(path)
            _ = try first.run { if $0.step == 8 { first.stop() } }
            let second = try trainer()
            try second.resume(from: path)
            _ = try second.run()
            #expect(second.network.bits == whole.network.bits)
        }
    }

    @Test func wrongRequestsAreNamed() throws {
        let student = try TrainableNetwork.mlp([6, 5, 4], seed: 3), logits = try TeacherLogits(of: teacher, on: data)
        func expectError(
            _ configuration: DistillationConfiguration = .init(), teachers: [TeacherLogits]? = nil, weights: [Double]? = nil,
            hasLabel: [Bool]? = nil, hintTeacher: TrainableNetwork? = nil
        ) {
            #expect(throws: CompressionError.self) {
                try DistillationLoss(
                    configuration, student: student, data: data, teachers: teachers ?? [logits], weights: weights, hasLabel: hasLabel,
                    hintTeacher: hintTeacher)
            }
        }
        expectError(.init(temperature: 0))
        expectError(.init(temperature: .nan))
        expectError(.init(softWeight: 1.1))
        expectError(.init(hintWeight: -1))
        expectError(teachers: [])
        expectError(weights: [1, 1])
        expectError(weights: [-1])
        expectError(hasLabel: [true])
        expectError(.init(hints: [HintPair(student: "fc1", teacher: "fc1")]))
        expectError(.init(hints: [HintPair(student: "fc9", teacher: "fc1")]), hintTeacher: teacher)
        let short = try TeacherLogits(of: teacher, on: data.prefix(5)), classes = try TeacherLogits(Matrix(rows: 12, columns: 3))
        expectError(teachers: [short])
        expectError(teachers: [classes])
        #expect(throws: CompressionError.self) { try TeacherLogits(of: .mlp([6, 4, 3]), on: data) }
        #expect(throws: CompressionError.self) { try TeacherLogits(Matrix(rows: 1, columns: 1, elements: [.nan])) }
        #expect(throws: CompressionError.self) { try TeacherLogits(contentsOf: "/nonexistent") }
    }
}
