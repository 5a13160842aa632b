import CompactNumerics

/// Pruned weights with their activations in a layout, under the name that reports use: csr, 4x1, csr-w8a8, 4x1-rowmajor, 2:4, 2:4-w8a8, …
struct SparseFormat: Hashable {
    /// Sparse or N:M.
    let weights: WeightFormat
    /// Activations and outputs as [M, K] and [M, N], transposes counted; otherwise feature-major, [K, M] and [N, M].
    let isRowMajor: Bool

    static let defaults =
        ["csr", "4x1", "8x1", "1x4", "4x4", "16x16", "csr-w8a8", "4x1-w8a8", "1x4-w8a8", "csr-rowmajor", "4x1-rowmajor"]
        + NMSparsity.all.flatMap { [$0.description, "\($0)-w8a8"] }
    private static let suffix = "-rowmajor"

    init(named name: String) throws(NumericsError) {
        let hasSuffix = name.hasSuffix(Self.suffix), unknown = NumericsError.unknown(what: "--formats", allowed: Self.defaults, found: name)
        do {
            weights = try WeightFormat(named: hasSuffix ? String(name.dropLast(Self.suffix.count)) : name)
        } catch {
            throw unknown
        }
        guard weights.isSparse else { throw unknown }
        if case .nOfM = weights {
            if hasSuffix { throw unknown }  // N:M layers know rows alone
            isRowMajor = true
        } else {
            isRowMajor = hasSuffix
        }
    }

    /// Of the blocks; one weight for N:M.
    var shape: BlockShape {
        if case .sparse(let shape, _) = weights { shape } else { .single }
    }

    /// Where half of the weights of each group are kept; nil for blocks.
    var nOfM: NMSparsity? {
        if case .nOfM(let sparsity, _) = weights { sparsity } else { nil }
    }

    var values: SparseValues {
        switch weights {
        case .sparse(_, let values), .nOfM(_, let values): values
        default: .float32
        }
    }

    var name: String { weights.description + (isRowMajor && nOfM == nil ? Self.suffix : "") }

    /// Whether the format can hold such a share of zeros: N:M leaves half.
    func allows(sparsity: Double) -> Bool { nOfM == nil || sparsity == 0.5 }

    func layer(_ linear: Linear, sparsity: Double, rows: Int) throws -> any LinearLayer {
        if let nOfM { return try NMSparseLinear(linear, sparsity: nOfM, values: values) }
        return try SparseLinear(linear, sparsity: sparsity, shape: shape, values: values, expectedRows: rows)
    }

    /// The case as the peers' script writes it.
    func caseName(_ shape: Shape, sparsity: Double) -> String {
        "\(shape) sparsity \(sparsity) " + (nOfM.map { "\($0)" } ?? "block \(self.shape)")
    }

    /// What `shape` needs at least. Single weights need 9 loads of a vector for 8 multiply-adds, so L1 bandwidth limits them; blocks of 4 and more
    /// rows are limited by multiply-adds, int8 by its products, one row by the bytes of the weights. N:M needs a permutation for each multiply-add,
    /// with AVX2 on three ports that take both; its int8 products are of 16 bits without VNNI, half as many at a time.
    func demands(_ shape: Shape, _ layer: any LinearLayer, _ peaks: Peaks) -> [Demand] {
        let set = peaks.kernels
        let stored = (layer as? SparseLinear).map { $0.weight.blockCount * self.shape.rows * self.shape.columns } ?? layer.inputs * layer.outputs / 2
        let operations = 2 * Double(stored) * Double(shape.m)
        let int8 = Limit.operations(.int8, set), float32 = Limit.operations(.float32, set)
        var demands = [Demand.reading(layer.byteCount, set)]
        switch values {
        case .int8:
            demands.append(Demand((int8, nOfM != nil && !set.hasVNNI ? 2 * operations : operations)))
        case .float32:
            demands.append(Demand((float32, nOfM != nil && set.name == "avx2" ? operations * 4 / 3 : operations)))
            if nOfM == nil, self.shape.rows == 1, shape.m > 1 {
                demands.append(Demand((.read(bytes: 16 << 10, set), operations / 2 * 4 * 9 / 8)))
            }
        }
        return demands
    }
}

/// A sparse layer with its activations in the layout that the format asks for, to be run again and again without allocating.
final class SparseRun {
    let layer: any LinearLayer
    private let input: Matrix
    private let isRowMajor: Bool
    private let parallelism: Parallelism
    private var workspace = Workspace()
    private var result: Matrix

    /// `x` [M, K] and `transposed` [K, M] are the same activations.
    init(_ layer: any LinearLayer, _ format: SparseFormat, x: Matrix, transposed: Matrix, _ parallelism: Parallelism) {
        self.layer = layer
        self.parallelism = parallelism
        isRowMajor = format.isRowMajor
        input = isRowMajor ? x : transposed
        result = isRowMajor ? Matrix(rows: x.rows, columns: layer.outputs) : Matrix(rows: layer.outputs, columns: x.rows)
    }

    func callAsFunction() {
        let layout: ActivationLayout = isRowMajor ? .rowMajor : .featureMajor
        layer.apply(input, layout: layout, into: &result, layout: layout, workspace: &workspace, parallelism: parallelism)
    }

    /// The outputs [M, N].
    var output: Matrix { isRowMajor ? result : result.transposed() }
}
