/// A hidden layer of the student that learns to predict one of the teacher's (FitNets: Romero et al. 2015, arXiv:1412.6550).
public struct HintPair: Sendable, Hashable, Codable {
    /// Name of the student's layer, the guided one.
    public var student: String
    /// Name of the teacher's layer, whose outputs are the hint.
    public var teacher: String

    public init(student: String, teacher: String) {
        (self.student, self.teacher) = (student, teacher)
    }
}

/// How a student learns from teachers.
///
/// The loss of a sample is w · T² · KL(p ‖ softmax(z / T)) + (1 − w) · −log softmax(z)[label] + h · hints, with the student's logits z, the
/// teachers' probabilities p at temperature T, w = `softWeight` and h = `hintWeight` (Hinton, Vinyals and Dean 2015, arXiv:1503.02531,
/// whose soft cross-entropy differs from KL by a constant). A sample without a label has no second term.
public struct DistillationConfiguration: Sendable, Hashable, Codable {
    /// T > 0. Gradients of the soft part are as large at every temperature, because the loss has the factor T².
    public var temperature: Double
    /// w, 0…1: share of the soft targets; the labels have the rest.
    public var softWeight: Double
    /// Layers that are guided; none by default.
    public var hints: [HintPair]
    /// h ≥ 0: factor on the sum of the hint losses, each half the mean squared difference over batch and units.
    public var hintWeight: Double

    public init(temperature: Double = 2, softWeight: Double = 0.5, hints: [HintPair] = [], hintWeight: Double = 1) {
        (self.temperature, self.softWeight, self.hints, self.hintWeight) = (temperature, softWeight, hints, hintWeight)
    }

    /// - Throws: `CompressionError.outOfRange` unless T > 0, 0 ≤ w ≤ 1 and h ≥ 0, all finite.
    public func validate() throws(CompressionError) {
        guard temperature > 0, temperature.isFinite else {
            throw .outOfRange(what: "temperature of distillation", allowed: "a positive, finite number", found: "\(temperature)")
        }
        guard softWeight >= 0, softWeight <= 1 else {
            throw .outOfRange(what: "weight of soft targets", allowed: "0…1", found: "\(softWeight)")
        }
        guard hintWeight >= 0, hintWeight.isFinite else {
            throw .outOfRange(what: "weight of hints", allowed: "a finite number of at least 0", found: "\(hintWeight)")
        }
    }
}
