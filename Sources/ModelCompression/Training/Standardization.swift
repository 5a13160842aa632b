internal import CTraining
internal import CompactNumerics

/// Mean and standard deviation of all numbers of some samples: what standardized inputs have lost, to be applied to other samples alike.
public struct Standardization: Sendable, Hashable, Codable {
    public let mean: Float
    public let deviation: Float

    /// Of the samples of `data`; deviation 1 where all numbers are equal.
    public init(_ data: LabelledData) {
        let (mean, variance) = data.inputs.withUnsafeBufferPointer { values -> (Double, Double) in
            guard let first = values.baseAddress else { return (0, 1) }
            let mean = ck_sum_f64_f32(first, values.count) / Double(values.count)
            return (mean, ck_dot_f64_f32(first, first, values.count) / Double(values.count) - mean * mean)
        }
        self.mean = Float(mean)
        deviation = variance > 0 ? Float(variance.squareRoot()) : 1
    }
}

extension LabelledData {
    /// The same samples with (x − mean) / deviation for each number x.
    public func standardized(_ standardization: Standardization) -> LabelledData {
        replacingInputs(
            Matrix(rows: count, columns: inputs.columns) { target in
                inputs.withUnsafeBufferPointer {
                    guard let from = $0.baseAddress, let to = target.baseAddress else { return }
                    ck_standardize_f32(from, $0.count, standardization.mean, 1 / standardization.deviation, to)
                }
            })
    }
}
