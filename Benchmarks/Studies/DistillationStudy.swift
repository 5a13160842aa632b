import ArgumentParser
import CompactNumerics
import ModelCompression

struct DistillationStudy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distillation",
        abstract: "A small student alone, with a teacher's soft targets, with hints, with few labels, and with 2-bit weights.")

    @OptionGroup var options: StudyOptions

    /// What is compared.
    enum Part: String, CaseIterable, ExpressibleByArgument { case all, full, few, bits }

    @Option(help: "all; full: soft targets and hints on all labels; few: with few labels; bits: a student of 2 bits.")
    var part = Part.all

    /// Who teaches.
    enum Teacher: String, CaseIterable, ExpressibleByArgument {
        case mlp
        case lenet5 = "lenet-5"
    }

    @Option(help: "The teachers: mlp, LeNet-300-100 or what suits the data; lenet-5, for images of 28×28.")
    var teacher = Teacher.mlp

    @Option(parsing: .upToNextOption, help: "Hidden units of the student. (default: 30, below 10,000 samples 12)")
    var student: [Int] = []

    @Option(parsing: .upToNextOption, help: "Temperatures to try; not with few. (default: 1 2 4 8, with bits 1 2)")
    var temperatures: [Double] = []

    @Option(parsing: .upToNextOption, help: "Weights of the soft targets to try, 0 to 1; not with few. (default: 0.5 0.9)")
    var weights: [Double] = []

    private func checkTargets() throws {
        for temperature in temperatures where !(temperature > 0 && temperature.isFinite) {
            throw BenchmarkError("--temperatures: expected positive, finite numbers, found \(temperature)")
        }
        for weight in weights where !(0...1).contains(weight) { throw BenchmarkError("--weights: expected numbers from 0 to 1, found \(weight)") }
        guard part != .few || temperatures.isEmpty && weights.isEmpty else {
            throw BenchmarkError("--temperatures, --weights: expected a part that tries them, found --part few")
        }
    }

    func run() throws {
        try checkTargets()
        let weights = weights.isEmpty ? [0.5, 0.9] : weights
        guard student.allSatisfy({ (1...65536).contains($0) }) else {
            throw BenchmarkError("--student: expected numbers of units, 1…65536, found \(student.map(String.init).joined(separator: " "))")
        }
        let laboratory = try Laboratory(options, "Distillation")
        let hidden = student.isEmpty ? [laboratory.isSmall ? 12 : 30] : student
        let widths = [laboratory.widths[0]] + hidden + [laboratory.training.classes]
        let make = try newTeacher(laboratory)
        func trainedTeacher(_ seed: UInt64) throws -> TrainableNetwork { try laboratory.trained("teacher", seed: seed, make: make).network }
        let teachers = try (0..<UInt64(3)).map(trainedTeacher)
        let logits = try teachers.map { try TeacherLogits(of: $0, on: laboratory.training) }
        try laboratory.row("teacher, \(teacher.rawValue)") { try evaluate(trainedTeacher($0), laboratory.test) }
        let student = Student(laboratory: laboratory, widths: widths, logits: logits, teachers: teachers)
        if part == .all || part == .full {
            try student.row("student \(widths.map(String.init).joined(separator: "-")) alone", nil)
            for temperature in temperatures.isEmpty ? [1, 2, 4, 8] : temperatures {
                for weight in weights {
                    try student.row(
                        "T = \(temperature), soft targets \(weight)", DistillationConfiguration(temperature: temperature, softWeight: weight))
                }
            }
            let best = DistillationConfiguration(temperature: 2, softWeight: 0.9)
            try student.row("three teachers, T = 2, soft targets 0.9", best, teachers: 3)
            var hinted = best
            hinted.hints = [HintPair(student: "relu1", teacher: teacher == .mlp ? "relu2" : "relu4")]
            hinted.hintWeight = 0.3
            try student.row("T = 2, soft targets 0.9, hints from the second hidden layer", hinted)
        }
        if part == .all || part == .few { try fewLabels(laboratory, student) }
        if part == .all || part == .bits {
            try student.row("2-bit student alone (quantization-aware)", nil, isQuantized: true)
            for temperature in temperatures.isEmpty ? [1, 2] : temperatures {
                for weight in weights {
                    let configuration = DistillationConfiguration(temperature: temperature, softWeight: weight)
                    try student.row("2-bit student, T = \(temperature), soft targets \(weight)", configuration, isQuantized: true)
                    try student.row(
                        "2-bit student, three teachers, T = \(temperature), soft targets \(weight)", configuration, teachers: 3, isQuantized: true)
                }
            }
        }
        try laboratory.finish()
    }

    /// Makes a teacher that is not trained yet.
    private func newTeacher(_ laboratory: Laboratory) throws -> (UInt64) throws -> TrainableNetwork {
        guard teacher == .lenet5 else { return { try laboratory.newNetwork(seed: $0) } }
        guard laboratory.areLeNetImages else {
            throw BenchmarkError("--teacher lenet-5: expected images of 28×28, found \(laboratory.training.shape)")
        }
        return laboratory.newLeNet5
    }

    private func fewLabels(_ laboratory: Laboratory, _ student: Student) throws {
        let few = min(laboratory.isSmall ? 100 : 3000, max(1, laboratory.training.count / 2))
        try laboratory.row("student alone on \(few) labelled samples") { seed in
            let network = try laboratory.newNetwork(student.widths, seed: 100 + seed)
            try laboratory.train(network, laboratory.configuration(epochs: 4 * laboratory.epochs, seed: seed), data: laboratory.training.prefix(few))
            return try evaluate(network, laboratory.test)
        }
        let hasLabel = (0..<laboratory.training.count).map { $0 < few }
        for temperature in [2.0, 4.0] {
            let configuration = DistillationConfiguration(temperature: temperature, softWeight: 0.9)
            try student.row("\(few) labels, soft targets on all, T = \(temperature)", configuration, hasLabel: hasLabel)
        }
    }

    /// Trains students.
    struct Student {
        let laboratory: Laboratory
        let widths: [Int]
        let logits: [TeacherLogits]
        let teachers: [TrainableNetwork]

        func row(
            _ name: String, _ configuration: DistillationConfiguration?, teachers count: Int = 1, hasLabel: [Bool]? = nil, isQuantized: Bool = false
        ) throws {
            try laboratory.row(name) { seed in
                let network = try laboratory.newNetwork(widths, seed: 100 + seed)
                let loss: any TrainingLoss =
                    try configuration.map {
                        try DistillationLoss(
                            $0, student: network, data: laboratory.training, teachers: Array(logits.prefix(count)), hasLabel: hasLabel,
                            hintTeacher: teachers[0], seed: seed)
                    } ?? CrossEntropy()
                if isQuantized {
                    try laboratory.train(network, laboratory.configuration(seed: seed), loss: loss)
                    try network.prepareQuantizationAwareTraining(QuantizationConfiguration(format: .integer(.w2a8)))
                }
                try laboratory.train(network, laboratory.configuration(seed: seed), loss: loss)
                return try evaluate(isQuantized ? Deployment().deploy(network) : network.deployed(), laboratory.test)
            }
        }
    }
}
