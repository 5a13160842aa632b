/// The shape of the blocks that a sparse matrix is made of: R consecutive outputs × C consecutive inputs.
public struct BlockShape: Sendable, Hashable, CustomStringConvertible {
    /// R, outputs.
    public let rows: Int
    /// C, inputs.
    public let columns: Int

    private init(_ rows: Int, _ columns: Int) {
        (self.rows, self.columns) = (rows, columns)
    }

    /// Single weights: compressed sparse rows.
    public static let single = BlockShape(1, 1)
    /// The shapes that kernels exist for.
    public static let all = [single, BlockShape(4, 1), BlockShape(8, 1), BlockShape(1, 4), BlockShape(4, 4), BlockShape(16, 16)]

    /// The shape R×C.
    ///
    /// - Throws: `NumericsError.unknown` for a shape without kernels.
    public init(rows: Int, columns: Int) throws(NumericsError) {
        self.init(rows, columns)
        if !Self.all.contains(self) {
            throw .unknown(what: "block shape", allowed: Self.all.map(\.description), found: "\(rows)x\(columns)")
        }
    }

    /// "4x1"; "1x1" for single weights.
    public var description: String { "\(rows)x\(columns)" }

    internal func strips(outputs: Int) -> Int { (outputs + rows - 1) / rows }
    internal func across(inputs: Int) -> Int { (inputs + columns - 1) / columns }
}
