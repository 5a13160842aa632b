internal import CTraining
internal import CompactNumerics

/// The class with the largest output of each sample; of equal ones the first.
internal func deployedPredictions(_ network: Sequential, _ data: LabelledData, _ parallelism: Parallelism) -> [Int] {
    var classes: [Int] = []
    var workspace = Workspace()
    for start in stride(from: 0, to: data.count, by: 500) {
        let rows = min(500, data.count - start)
        let x = Matrix(rows: rows, columns: data.inputs.columns) { target in
            data.inputs.withUnsafeBufferPointer {
                target.baseAddress?.update(from: $0.baseAddress! + start * data.inputs.columns, count: rows * data.inputs.columns)
            }
        }
        var y = Matrix(rows: rows, columns: data.classes)
        network.apply(x, into: &y, workspace: &workspace, parallelism: parallelism)
        y.withUnsafeBufferPointer { y in
            for row in 0..<rows {
                let logits = y[row * data.classes..<(row + 1) * data.classes]
                var best = logits.startIndex
                for index in logits.indices where logits[index] > logits[best] { best = index }
                classes.append(best - logits.startIndex)
            }
        }
    }
    return classes
}

extension [Int] {
    internal func countEqual(to other: [Int]) -> Int { zip(self, other).count { $0 == $1 } }
}
