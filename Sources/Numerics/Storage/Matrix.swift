internal import CKernels

// Loops over elements are `while` loops over pointers: in a debug build, where users run their first experiments, ranges and
// buffer subscripts cost several times as much.

/// A float32 matrix [rows, columns], row-major, without gaps between rows, in memory aligned to 64 bytes.
///
/// A value: a copy shares the memory until one of the two is written to. Sizes of zero are allowed.
public struct Matrix: Sendable {
    @usableFromInline internal var storage: MatrixStorage

    /// Number of rows.
    public let rows: Int
    /// Number of columns, which is also the distance between the starts of two rows.
    public let columns: Int

    /// Number of elements: `rows` · `columns`.
    @inlinable public var count: Int { storage.buffer.count }

    private init(rows: Int, columns: Int, storage: MatrixStorage) {
        self.rows = rows
        self.columns = columns
        self.storage = storage
    }

    /// A matrix of zeros.
    ///
    /// - Precondition: sizes are not negative and the bytes of all elements can be counted in an `Int`.
    public init(rows: Int, columns: Int) {
        let count = Self.elementCount(rows: rows, columns: columns)
        self.init(rows: rows, columns: columns, storage: MatrixStorage(AlignedBuffer(count: count)))
    }

    /// A matrix whose elements `fill` writes; it must write all of them, row after row in the buffer that it gets.
    package init<Failure: Error>(
        rows: Int, columns: Int, filledBy fill: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
    ) throws(Failure) {
        var buffer = AlignedBuffer<Float>(unfilledCount: Self.elementCount(rows: rows, columns: columns))
        try buffer.withUnsafeMutableBufferPointer(fill)
        self.init(rows: rows, columns: columns, storage: MatrixStorage(buffer))
    }

    /// A matrix of the given elements, row after row.
    ///
    /// - Throws: `NumericsError.outOfRange` for a negative size or one that overflows, `NumericsError.shapeMismatch` unless there are
    ///   `rows` · `columns` elements.
    public init(rows: Int, columns: Int, elements: some Collection<Float>) throws(NumericsError) {
        let count = try checkedProduct(rows, columns, what: "size of a matrix")
        guard elements.count == count else {
            throw .shapeMismatch(what: "elements of a \(rows)×\(columns) matrix", expected: "\(count)", found: "\(elements.count)")
        }
        self.init(rows: rows, columns: columns) { destination in
            _ = destination.initialize(fromContentsOf: elements)
        }
    }

    /// The matrix whose element at [row, column] is `generator(row, column)`, asked for row after row.
    public init(rows: Int, columns: Int, generator: (Int, Int) throws -> Float) rethrows {
        try self.init(rows: rows, columns: columns) { destination in
            guard var next = destination.baseAddress, destination.count > 0 else { return }
            for row in 0..<rows {
                for column in 0..<columns {
                    next.pointee = try generator(row, column)
                    next += 1
                }
            }
        }
    }

    private static func elementCount(rows: Int, columns: Int) -> Int {
        trapUnless(
            rows >= 0 && columns >= 0, "size of a matrix: expected at least 0×0, found \(rows)×\(columns)")
        let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
        trapUnless(!overflow, "size of a matrix: expected at most \(Int.max) elements, found \(rows)×\(columns)")
        return count
    }
}

/// What copies of a matrix share. Written to only by a matrix that holds the one reference (`Matrix.makeUnique`).
@usableFromInline
internal final class MatrixStorage: @unchecked Sendable {
    @usableFromInline internal let buffer: AlignedBuffer<Float>

    internal init(_ buffer: consuming AlignedBuffer<Float>) {
        self.buffer = buffer
    }

    internal func copy() -> MatrixStorage {
        let copy = AlignedBuffer<Float>(unfilledCount: buffer.count)
        copy.baseAddress.update(from: buffer.baseAddress, count: buffer.count)
        return MatrixStorage(copy)
    }
}

// MARK: - Elements

extension Matrix {
    /// The element at [row, column].
    @inlinable
    public subscript(row: Int, column: Int) -> Float {
        get {
            storage.buffer.baseAddress[index(row, column)]
        }
        set {
            let index = index(row, column)
            makeUnique()
            storage.buffer.baseAddress[index] = newValue
        }
    }

    @inlinable
    internal func index(_ row: Int, _ column: Int) -> Int {
        trapUnless(
            row >= 0 && row < rows && column >= 0 && column < columns,
            "element of a matrix: expected an index within \(rows)×\(columns), found [\(row), \(column)]")
        return row &* columns &+ column
    }

    @usableFromInline
    internal mutating func makeUnique() {
        if !isKnownUniquelyReferenced(&storage) {
            storage = storage.copy()
        }
    }

    /// All elements, row after row.
    @inlinable
    public var span: Span<Float> {
        @_lifetime(borrow self)
        get {
            let start = UnsafePointer(storage.buffer.baseAddress)
            return _overrideLifetime(Span(_unsafeStart: start, count: count), borrowing: self)
        }
    }

    /// All elements, row after row, for writing.
    @inlinable
    public var mutableSpan: MutableSpan<Float> {
        @_lifetime(&self)
        mutating get {
            makeUnique()
            let start = storage.buffer.baseAddress
            return _overrideLifetime(MutableSpan(_unsafeStart: start, count: storage.buffer.count), mutating: &self)
        }
    }

    /// The elements of one row.
    @inlinable
    @_lifetime(borrow self)
    public func row(_ row: Int) -> Span<Float> {
        trapUnless(row >= 0 && row < rows, "row of a matrix: expected an index in 0..<\(rows), found \(row)")
        let start = UnsafePointer(storage.buffer.baseAddress + row &* columns)
        return _overrideLifetime(Span(_unsafeStart: start, count: columns), borrowing: self)
    }

    /// Calls `body` with all elements, row after row; the pointer is valid until it returns.
    @inlinable
    public func withUnsafeBufferPointer<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try storage.buffer.withUnsafeBufferPointer(body)
    }

    /// Calls `body` with all elements, row after row, for writing; the pointer is valid until it returns.
    @inlinable
    public mutating func withUnsafeMutableBufferPointer<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        makeUnique()
        return try body(UnsafeMutableBufferPointer(start: storage.buffer.baseAddress, count: count))
    }

    /// Position [row, column] of the first element that is NaN or infinite.
    public var firstNonFinite: (row: Int, column: Int)? {
        withUnsafeBufferPointer { elements in
            guard let start = elements.baseAddress else { return nil }
            let index = ck_first_not_finite_f32(start, count)
            return index < count ? (index / columns, index % columns) : nil
        }
    }
}

// MARK: - Whole matrices

extension Matrix {
    /// The matrix [columns, rows] with element [c, r] equal to element [r, c] of this one.
    public func transposed() -> Matrix {
        withUnsafeBufferPointer { source in
            Matrix(rows: columns, columns: rows) { destination in
                guard count > 0, let from = source.baseAddress, let to = destination.baseAddress else { return }
                transpose(from, to)
            }
        }
    }

    // Squares of 16×16 floats: 16 lines of the source and 16 of the destination stay in the L1 cache, so each line of
    // either is fetched once.
    private func transpose(_ from: UnsafePointer<Float>, _ to: UnsafeMutablePointer<Float>) {
        let (rows, columns, side) = (rows, columns, 16)
        var rowStart = 0
        while rowStart < rows {
            let rowEnd = min(rowStart + side, rows)
            var columnStart = 0
            while columnStart < columns {
                let columnEnd = min(columnStart + side, columns)
                var column = columnStart
                while column < columnEnd {
                    var row = rowStart
                    while row < rowEnd {
                        to[column &* rows &+ row] = from[row &* columns &+ column]
                        row &+= 1
                    }
                    column &+= 1
                }
                columnStart = columnEnd
            }
            rowStart = rowEnd
        }
    }
}

extension Matrix: Equatable {
    /// Same sizes, and all elements equal as IEEE 754 says: +0 equals −0, and a matrix with a NaN does not equal itself.
    public static func == (left: Matrix, right: Matrix) -> Bool {
        guard left.rows == right.rows, left.columns == right.columns else { return false }
        return left.withUnsafeBufferPointer { a in
            right.withUnsafeBufferPointer { b in
                guard left.count > 0, let a = a.baseAddress, let b = b.baseAddress else { return true }
                var index = 0
                while index < left.count && a[index] == b[index] { index &+= 1 }
                return index == left.count
            }
        }
    }
}

extension Matrix: CustomStringConvertible {
    /// Sizes and the first elements: `Matrix 256×1024 [0.5, -1.25, 3.0, …]`.
    public var description: String {
        let shown = withUnsafeBufferPointer { $0.prefix(6).map(\.description) }
        return "Matrix \(rows)×\(columns) [\((shown + (count > 6 ? ["…"] : [])).joined(separator: ", "))]"
    }
}
