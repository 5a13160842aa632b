import CompactNumerics

/// Sparse layers in sequence, of K inputs and outputs each: what the layout that a network keeps between them gains over rows that
/// every layer transposes for itself.
struct SparseNetworkStudy {
    static let depth = 3

    let shape: Shape
    let formats: [SparseFormat]
    let shared: SharedOptions

    /// Networks need layers whose inputs are the outputs of the one before.
    static func fits(_ shape: Shape) -> Bool { shape.k == shape.n && shape.m > 1 }

    static func table() -> Table {
        Table([
            ("network", 22), ("zeros", 6), ("format", 13), ("row-major", 10), ("as chosen", 10), ("gain", 6), ("GOP/s", 8), ("× float32", 9),
        ])
    }

    func measure(sparsity: Double, _ table: Table, _ report: Report) throws {
        let progress = Progress("network of \(shape)")
        var random = RandomNumbers(seed: 5)
        let x = random.gaussianMatrix(rows: shape.m, columns: shape.k, deviation: 1)
        let dense = try (0..<Self.depth).map { _ in
            try Linear(weight: random.gaussianMatrix(rows: shape.n, columns: shape.k, deviation: 0.05), activation: .relu)
        }
        let title = "\(shape.m) × \((0...Self.depth).map { _ in "\(shape.k)" }.joined(separator: "-"))"
        let operations = Double(Self.depth) * shape.operations
        for format in formats {
            progress.show("packing \(format.name)")
            let layers = try dense.map { try format.layer($0, sparsity: sparsity, rows: shape.m) }
            let float32 = LayerRun(try Sequential(dense), x, shared.parallelism), kept = LayerRun(try Sequential(layers), x, shared.parallelism)
            let rowMajor = LayerRun(try Sequential(layers.map { RowMajorLayer(layer: $0) }), x, shared.parallelism)
            let times = timings(
                [
                    TimedCall(name: "float32", body: float32.callAsFunction), TimedCall(name: "row-major", body: rowMajor.callAsFunction),
                    TimedCall(name: format.name, body: kept.callAsFunction),
                ], seconds: shared.seconds, threads: shared.threads, progress: progress)
            progress.clear()
            let seconds = times.map(\.seconds)
            guard rowMajor.output == kept.output else {
                throw BenchmarkError("network of \(format.name): expected the same outputs in every layout, found others")
            }
            table.row([
                title, percent(sparsity), format.name, duration(seconds[1]), duration(seconds[2]), fixed(seconds[1] / seconds[2], 2),
                fixed(operations / seconds[2] / 1e9, 1), fixed(seconds[0] / seconds[2], 2),
            ])
            for (name, time) in [("\(format.name)-network-rowmajor", times[1]), ("\(format.name)-network", times[2])] {
                report.add(
                    Measurement(
                        case: format.caseName(shape, sparsity: sparsity), name: name, figure: operations / time.seconds / 1e9, unit: "GOP/s",
                        timing: time, ratio_to_float32: seconds[0] / time.seconds))
            }
        }
    }
}

/// A layer that keeps to rows, so that a network transposes before and after its product.
private struct RowMajorLayer: Layer {
    let layer: any Layer

    var inputCount: Int? { layer.inputCount }
    var byteCount: Int { layer.byteCount }
    func outputCount(inputs: Int) -> Int { layer.outputCount(inputs: inputs) }
    func apply(_ input: Matrix, into output: inout Matrix, workspace: inout Workspace, parallelism: Parallelism) {
        layer.apply(input, into: &output, workspace: &workspace, parallelism: parallelism)
    }
}
