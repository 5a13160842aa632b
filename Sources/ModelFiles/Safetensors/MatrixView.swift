/// How a tensor of any rank is seen as a matrix. Its elements keep their order: the last dimension is the fastest.
public enum MatrixView: Sendable, Hashable {
    /// [first size, product of the others]: a convolution's weights [outputs, channels, height, width] as one row per output. A vector [n] is
    /// [n, 1], a scalar [1, 1].
    case firstByRest
    /// [rows, columns], whose product must be the number of elements.
    case reshaped(rows: Int, columns: Int)

    /// Rows and columns for a tensor of `shape`, or nil if it has another number of elements or one too large to count.
    internal func sizes(shape: [Int]) -> (rows: Int, columns: Int)? {
        let count = shape.reduce(1, *)
        switch self {
        case .firstByRest:
            var columns = 1
            for size in shape.dropFirst() {
                // Where the first size is 0, the file does not bound the product of the others.
                let (product, overflow) = columns.multipliedReportingOverflow(by: size)
                if overflow { return nil }
                columns = product
            }
            return (shape.first ?? 1, columns)
        case .reshaped(let rows, let columns):
            let (product, overflow) = rows.multipliedReportingOverflow(by: columns)
            return rows >= 0 && columns >= 0 && !overflow && product == count ? (rows, columns) : nil
        }
    }
}
