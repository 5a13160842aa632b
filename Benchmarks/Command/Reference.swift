import CompactNumerics

/// Outputs in float64 of a sample of rows and outputs, to measure errors against.
struct Reference {
    private let rows: [Int]
    private let outputs: [Int]
    private let values: [Double]

    /// Y = X · Wᵀ in float64 for up to 4 rows and 64 outputs, spread evenly.
    init(x: Matrix, weight: Matrix) {
        let rows = Self.spread(x.rows, 4)
        let outputs = Self.spread(weight.rows, 64)
        let k = x.columns
        var values: [Double] = []
        x.withUnsafeBufferPointer { x in
            weight.withUnsafeBufferPointer { w in
                for row in rows {
                    for output in outputs {
                        let (a, b) = (x.baseAddress! + row * k, w.baseAddress! + output * k)
                        var sum = 0.0, i = 0
                        while i < k {
                            sum += Double(a[i]) * Double(b[i])
                            i &+= 1
                        }
                        values.append(sum)
                    }
                }
            }
        }
        (self.rows, self.outputs, self.values) = (rows, outputs, values)
    }

    private static func spread(_ count: Int, _ most: Int) -> [Int] {
        let picked = min(count, most)
        return (0..<picked).map { $0 * count / picked }
    }

    /// Root mean square of y − reference, divided by that of the reference. `y` is [M, N].
    func relativeError(of y: Matrix) -> Double {
        var error = 0.0, power = 0.0, index = 0
        for row in rows {
            for output in outputs {
                let difference = Double(y[row, output]) - values[index]
                error += difference * difference
                power += values[index] * values[index]
                index += 1
            }
        }
        return power == 0 ? (error == 0 ? 0 : .infinity) : (error / power).squareRoot()
    }
}
