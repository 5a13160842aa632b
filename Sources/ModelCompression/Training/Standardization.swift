internal import CKernels
internal import CTraining
internal import CompactNumerics

/// Means and standard deviations of samples, by which the same numbers of other samples are standardized alike: (x − mean) / deviation.
///
/// A number of deviation 0, equal in all samples, tells nothing: it becomes 0, whatever it is in other samples.
public struct Standardization: Sendable, Hashable {
    /// Which numbers share a mean and a deviation.
    public enum Scope: String, Sendable, Hashable, Codable, CaseIterable {
        /// Those of a channel. A table has one for each feature, a grey image a single one.
        case channel
        /// None: each number of a sample has its own, also each pixel of an image.
        case feature
        /// All.
        case all
    }

    /// Number i of a sample has the mean i modulo their count, which is 1, that of the channels, or that of a sample's numbers.
    public let means: [Float]
    /// As many, not divided by samples − 1 but by samples.
    public let deviations: [Float]

    /// Of the samples of `data`.
    ///
    /// - Throws: `CompressionError.outOfRange` without samples.
    public init(_ data: LabelledData, per scope: Scope = .channel) throws(CompressionError) {
        guard data.count > 0 else { throw .outOfRange(what: "samples to standardize by", allowed: "at least 1", found: "0") }
        let columns = [Scope.channel: data.shape.channels, .feature: data.shape.count, .all: 1][scope]!
        var means = [Double](repeating: 0, count: columns), variances = means
        data.inputs.withUnsafeBufferPointer {
            ck_column_moments_f64($0.baseAddress!, $0.count / columns, columns, &means, &variances)
        }
        (self.means, deviations) = (means.map { Float($0) }, variances.map { Float($0.squareRoot()) })
    }

    /// Of given numbers.
    ///
    /// - Throws: `CompressionError.shapeMismatch` unless there are as many deviations as means, at least one; `.outOfRange` for NaN,
    ///   infinity, or a negative deviation.
    public init(means: [Float], deviations: [Float]) throws(CompressionError) {
        guard means.count == deviations.count, !means.isEmpty else {
            throw .shapeMismatch(what: "deviations", expected: "\(max(1, means.count)), one for each mean", found: "\(deviations.count)")
        }
        if let wrong = means.first(where: { !$0.isFinite }) { throw .outOfRange(what: "mean", allowed: "a finite number", found: "\(wrong)") }
        if let wrong = deviations.first(where: { !($0 >= 0 && $0.isFinite) }) {
            throw .outOfRange(what: "deviation", allowed: "a finite number of at least 0", found: "\(wrong)")
        }
        (self.means, self.deviations) = (means, deviations)
    }

    /// Factors and offsets of y = x · scale + shift, the same for samples of `count` numbers but repeated until there are enough of them that
    /// a pass over them is worth it. Training and the deployed network use both, so their bits are equal.
    internal static func scaleShift(means: [Float], deviations: [Float], count: Int) -> (scale: [Float], shift: [Float]) {
        // The reciprocal of a subnormal number may be infinite.
        let scale = deviations.map { $0 >= .leastNormalMagnitude ? 1 / $0 : 0 }, shift = zip(means, scale).map { -$0 * $1 }
        let positions = count / scale.count
        let repeats = (1...positions).first { positions.isMultiple(of: $0) && $0 * scale.count >= 64 } ?? positions
        return (
            Array([[Float]](repeating: scale, count: repeats).joined()), Array([[Float]](repeating: shift, count: repeats).joined())
        )
    }
}

extension Standardization: Codable {
    private enum CodingKeys: String, CodingKey { case means, deviations }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try self.init(means: container.decode([Float].self, forKey: .means), deviations: container.decode([Float].self, forKey: .deviations))
    }
}

extension LabelledData {
    /// The same samples, standardized. `TrainableNetwork.standardizingInputs(of:)` keeps it with the network instead.
    ///
    /// - Precondition: there is one mean, or one for each channel or number of a sample.
    public func standardized(_ standardization: Standardization) -> LabelledData {
        let means = standardization.means
        trapUnless(
            [1, shape.channels, shape.count].contains(means.count),
            "means of a standardization: expected 1, \(shape.channels) or \(shape.count), found \(means.count)")
        let (scale, shift) = Standardization.scaleShift(means: means, deviations: standardization.deviations, count: shape.count)
        return replacingInputs(
            Matrix(rows: count, columns: inputs.columns) { target in
                inputs.withUnsafeBufferPointer {
                    guard let from = $0.baseAddress, let to = target.baseAddress else { return }
                    ck_scale_shift_f32(from, $0.count / scale.count, scale.count, scale, shift, to)
                }
            })
    }
}
