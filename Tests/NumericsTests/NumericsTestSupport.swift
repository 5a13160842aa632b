import CompactNumerics

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) from a seed that each test prints where it fails.
struct SeededGenerator: RandomNumberGenerator {
    private(set) var seed: UInt64
    private var state: UInt64

    init(seed: UInt64 = .random(in: 0...UInt64.max)) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// Numbers that are roughly Gaussian, of deviation 1.
    mutating func matrix(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(rows: rows, columns: columns) { _, _ in
            (0..<3).reduce(0) { sum, _ in sum + Float.random(in: -1...1, using: &self) }
        }
    }

    /// Codes that `scheme` allows.
    mutating func codes(_ scheme: QuantizationScheme, _ count: Int) -> [Int8] {
        (0..<count).map { _ in
            scheme.bits == 1 ? (Bool.random(using: &self) ? 1 : -1) : Int8.random(in: scheme.codeRange, using: &self)
        }
    }

    mutating func numbers(_ count: Int) -> [Float] {
        (0..<count).map { _ in Float.random(in: -1...1, using: &self) }
    }
}

/// Y = X · Wᵀ + bias in float64, and Σ|x w| + |bias| for error bounds.
func reference(_ x: Matrix, _ weight: Matrix, _ bias: [Float]?) -> (y: [[Double]], magnitude: [[Double]]) {
    var y = [[Double]](), magnitude = [[Double]]()
    for m in 0..<x.rows {
        var row = [Double](), sizes = [Double]()
        for n in 0..<weight.rows {
            var sum = Double(bias?[n] ?? 0), size = abs(sum)
            for k in 0..<x.columns {
                let product = Double(x[m, k]) * Double(weight[n, k])
                sum += product
                size += abs(product)
            }
            row.append(sum)
            sizes.append(size)
        }
        y.append(row)
        magnitude.append(sizes)
    }
    return (y, magnitude)
}

/// The largest ratio of error to n · 2⁻²⁴ · Σ|x w|; at most 1 where the contract of float sums is kept.
func worstError(_ y: Matrix, _ expected: (y: [[Double]], magnitude: [[Double]]), terms: Int) -> Double {
    var worst = 0.0
    for m in 0..<y.rows {
        for n in 0..<y.columns {
            let bound = Double(terms + 2) * 0x1p-24 * expected.magnitude[m][n] + 1e-30
            worst = max(worst, abs(Double(y[m, n]) - expected.y[m][n]) / bound)
        }
    }
    return worst
}

extension Matrix {
    /// The bits of all elements.
    var bits: [UInt32] { withUnsafeBufferPointer { $0.map(\.bitPattern) } }
}
