public import CompactNumerics

/// Float32 memory [rows, columns] of a training run, row-major without gaps, aligned to 64 bytes.
///
/// A reference: layers write into tensors that they own again and again, so a step of training allocates nothing. Not for use by two
/// threads at once.
public final class Tensor {
    public private(set) var rows: Int
    public private(set) var columns: Int
    /// The first element; valid until `reshape` asks for more elements than ever before.
    public private(set) var pointer: UnsafeMutablePointer<Float>
    private var capacity: Int

    /// Number of elements: `rows` · `columns`.
    public var count: Int { rows &* columns }

    /// A tensor of zeros.
    ///
    /// - Precondition: sizes are not negative.
    public init(rows: Int = 0, columns: Int = 0) {
        trapUnless(rows >= 0 && columns >= 0, "tensor: expected sizes of at least 0×0, found \(rows)×\(columns)")
        (self.rows, self.columns, capacity) = (rows, columns, rows * columns)
        pointer = Self.allocate(capacity)
        fill(0)
    }

    /// A copy of a matrix.
    public convenience init(_ matrix: Matrix) {
        self.init(rows: matrix.rows, columns: matrix.columns)
        matrix.withUnsafeBufferPointer { source in
            if let first = source.baseAddress { pointer.update(from: first, count: source.count) }
        }
    }

    deinit {
        UnsafeMutableRawPointer(pointer).deallocate()
    }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
        UnsafeMutableRawPointer.allocate(byteCount: max(64, count * MemoryLayout<Float>.stride), alignment: 64)
            .bindMemory(to: Float.self, capacity: max(16, count))
    }

    /// Gives the tensor other sizes. Memory is kept and only ever grows; elements keep their positions in it where the number of
    /// elements does not grow beyond what it once was, and are undefined otherwise.
    ///
    /// - Precondition: sizes are not negative.
    public func reshape(rows: Int, columns: Int) {
        trapUnless(rows >= 0 && columns >= 0, "tensor: expected sizes of at least 0×0, found \(rows)×\(columns)")
        (self.rows, self.columns) = (rows, columns)
        guard count > capacity else { return }
        UnsafeMutableRawPointer(pointer).deallocate()
        capacity = count
        pointer = Self.allocate(capacity)
    }

    /// Sets all elements.
    public func fill(_ value: Float) {
        pointer.update(repeating: value, count: count)
    }

    /// Takes the sizes and elements of `other`.
    public func assign(_ other: Tensor) {
        reshape(rows: other.rows, columns: other.columns)
        pointer.update(from: other.pointer, count: count)
    }

    /// A tensor of its own with the same elements.
    public func copy() -> Tensor {
        let copy = Tensor()
        copy.assign(self)
        return copy
    }

    /// The elements as a value.
    public var matrix: Matrix {
        var matrix = Matrix(rows: rows, columns: columns)
        matrix.withUnsafeMutableBufferPointer { target in
            target.baseAddress?.update(from: pointer, count: count)
        }
        return matrix
    }

    /// All elements, row after row.
    public var elements: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

    /// The element at [row, column].
    public subscript(row: Int, column: Int) -> Float {
        get { pointer[index(row, column)] }
        set { pointer[index(row, column)] = newValue }
    }

    private func index(_ row: Int, _ column: Int) -> Int {
        trapUnless(
            row >= 0 && row < rows && column >= 0 && column < columns,
            "element of a tensor: expected an index within \(rows)×\(columns), found [\(row), \(column)]")
        return row &* columns &+ column
    }
}
