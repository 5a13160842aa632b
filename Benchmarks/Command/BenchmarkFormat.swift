import CompactNumerics

/// A format of `gemm` or of `sparse`.
enum BenchmarkFormat {
    case dense(WeightFormat)
    case sparse(SparseFormat)

    init(named name: String) throws {
        if let format = try? SparseFormat(named: name) {
            self = .sparse(format)
        } else if let format = try? WeightFormat(denseNamed: name) {
            self = .dense(format)
        } else {
            throw NumericsError.unknown(what: "--formats", allowed: ["float32"] + WeightFormat.denseDefaults + SparseFormat.defaults, found: name)
        }
    }

    var name: String {
        switch self {
        case .dense(let format): format.description
        case .sparse(let format): format.name
        }
    }

    var isSparse: Bool {
        if case .sparse = self { true } else { false }
    }

    var isNOfM: Bool {
        if case .sparse(let format) = self { format.nOfM != nil } else { false }
    }

    func layer(_ linear: Linear, sparsity: Double, rows: Int) throws -> any LinearLayer {
        switch self {
        case .dense(let format): try format.layer(linear, rows: rows)
        case .sparse(let format): try format.layer(linear, sparsity: sparsity, rows: rows)
        }
    }

    func run(_ layer: any LinearLayer, _ data: FormatData, _ parallelism: Parallelism) -> () -> Void {
        switch self {
        case .dense: LayerRun(layer, data.x, parallelism).callAsFunction
        case .sparse(let format): SparseRun(layer, format, x: data.x, transposed: data.transposed, parallelism).callAsFunction
        }
    }
}

/// Activations and weights of one shape.
struct FormatData {
    let shape: Shape
    let x: Matrix
    let transposed: Matrix
    let linear: Linear

    init(_ shape: Shape) throws {
        var random = RandomNumbers(seed: 4)
        try self.init(shape, linear: Linear(weight: random.gaussianMatrix(rows: shape.n, columns: shape.k, deviation: 0.05)), seed: 5)
    }

    init(_ shape: Shape, linear: Linear, seed: UInt64) {
        (self.shape, self.linear) = (shape, linear)
        var random = RandomNumbers(seed: seed)
        x = random.gaussianMatrix(rows: shape.m, columns: shape.k, deviation: 1)
        transposed = x.transposed()
    }
}
