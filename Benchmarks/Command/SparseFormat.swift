import CompactNumerics

/// A way to store pruned weights, under the name that reports use: csr, 4x1, csr-w8a8, 4x1-rowmajor, …
struct SparseFormat: Hashable {
    let shape: BlockShape
    let values: SparseValues
    /// Activations and outputs as [M, K] and [M, N], transposes counted; otherwise feature-major, [K, M] and [N, M].
    let isRowMajor: Bool

    static let defaults = ["csr", "4x1", "8x1", "1x4", "4x4", "16x16", "csr-w8a8", "4x1-w8a8", "1x4-w8a8", "csr-rowmajor", "4x1-rowmajor"]

    init(shape: BlockShape, values: SparseValues, isRowMajor: Bool) {
        (self.shape, self.values, self.isRowMajor) = (shape, values, isRowMajor)
    }

    init(named name: String) throws(NumericsError) {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        let shapes = Dictionary(uniqueKeysWithValues: BlockShape.all.map { ($0 == .single ? "csr" : $0.description, $0) })
        let suffixes = parts.dropFirst()
        guard let shape = shapes[parts[0]], Set(suffixes).count == suffixes.count, suffixes.allSatisfy({ ["w8a8", "rowmajor"].contains($0) })
        else {
            throw .unknown(what: "--formats", allowed: Self.defaults, found: name)
        }
        self.init(shape: shape, values: suffixes.contains("w8a8") ? .int8 : .float32, isRowMajor: suffixes.contains("rowmajor"))
    }

    var name: String {
        (shape == .single ? "csr" : shape.description) + (values == .int8 ? "-w8a8" : "") + (isRowMajor ? "-rowmajor" : "")
    }

    func layer(_ linear: Linear, sparsity: Double, rows: Int) throws -> SparseLinear {
        try SparseLinear(linear, sparsity: sparsity, shape: shape, values: values, expectedRows: rows)
    }

    /// The case as the peers' script writes it.
    func caseName(_ shape: Shape, sparsity: Double) -> String {
        "\(shape) sparsity \(sparsity) block \(self.shape)"
    }

    /// The least seconds on a machine with these peaks. Single weights need 9 loads of a vector for 8 multiply-adds, so L1 bandwidth
    /// limits them; blocks of 4 and more rows are limited by multiply-adds, int8 by its products, one row by the bytes of the weights.
    func limitSeconds(_ shape: Shape, _ layer: SparseLinear, peaks: Peaks) -> Double {
        let products = Double(layer.weight.blockCount * self.shape.rows * self.shape.columns) * Double(shape.m)
        let bytes = Double(layer.byteCount) / peaks.readBandwidth(bytes: layer.byteCount)
        let arithmetic =
            switch (values, self.shape.rows) {
            case (.int8, _): 2 * products / peaks.int8
            case (.float32, 1) where shape.m > 1: max(2 * products / peaks.float32, products * 4 * 9 / 8 / peaks.readBandwidth(bytes: 16 << 10))
            default: 2 * products / peaks.float32
            }
        return max(bytes, arithmetic)
    }
}

/// A sparse layer with its activations in the layout that the format asks for, to be run again and again without allocating.
final class SparseRun {
    let layer: SparseLinear
    private let input: Matrix
    private let isRowMajor: Bool
    private let parallelism: Parallelism
    private var workspace = Workspace()
    private var result: Matrix

    /// `x` [M, K] and `transposed` [K, M] are the same activations.
    init(_ layer: SparseLinear, _ format: SparseFormat, x: Matrix, transposed: Matrix, _ parallelism: Parallelism) {
        self.layer = layer
        self.parallelism = parallelism
        isRowMajor = format.isRowMajor
        input = isRowMajor ? x : transposed
        result = isRowMajor ? Matrix(rows: x.rows, columns: layer.outputs) : Matrix(rows: layer.outputs, columns: x.rows)
    }

    func callAsFunction() {
        if isRowMajor {
            layer.apply(input, into: &result, workspace: &workspace, parallelism: parallelism)
        } else {
            layer.applyFeatureMajor(input, into: &result, workspace: &workspace, parallelism: parallelism)
        }
    }

    /// The outputs [M, N].
    var output: Matrix { isRowMajor ? result : result.transposed() }
}
