// Tensors by element type. Numbers are little-endian, as on every platform that Swift runs on.

extension TensorArchiveWriter {
    public mutating func put(floats: [Float], named name: String) { put(bytes: floats.withUnsafeBytes(Array.init), named: name) }

    public mutating func put(integers: [Int8], named name: String) { put(bytes: integers.map { UInt8(bitPattern: $0) }, named: name) }

    /// Elements row after row.
    public mutating func put(_ matrix: Matrix, named name: String) {
        put(bytes: matrix.withUnsafeBufferPointer { Array(UnsafeRawBufferPointer($0)) }, named: name)
    }

    /// Codes of 8, 4, 2 or 1 bits in as few bytes, see `CodePacking`.
    public mutating func put(codes: [Int8], bits: Int, named name: String) { put(bytes: CodePacking.pack(codes, bits: bits), named: name) }

    package mutating func put(patterns: [UInt16], named name: String) { put(bytes: patterns.withUnsafeBytes(Array.init), named: name) }
}

extension TensorArchiveReader {
    /// A tensor of any number of elements, empty where there is none.
    ///
    /// - Throws: also `NumericsError.shapeMismatch` unless the bytes are whole numbers, as below.
    public func floats(named name: String) throws(NumericsError) -> [Float] { try numbers(named: name) }

    public func integers8(named name: String) throws(NumericsError) -> [Int8] { try numbers(named: name) }

    package func patterns(named name: String) throws(NumericsError) -> [UInt16] { try numbers(named: name) }

    private func numbers<Number: BitwiseCopyable>(named name: String) throws(NumericsError) -> [Number] {
        let bytes = try bytes(named: name), width = MemoryLayout<Number>.stride
        guard bytes.count % width == 0 else {
            throw .shapeMismatch(what: "bytes of \(name)", expected: "a multiple of \(width)", found: "\(bytes.count)")
        }
        try charge(bytes.count)
        return bytes.withUnsafeBytes { raw in
            [Number](unsafeUninitializedCapacity: bytes.count / width) { numbers, count in
                UnsafeMutableRawBufferPointer(numbers).copyMemory(from: raw)
                count = bytes.count / width
            }
        }
    }

    /// A tensor of `rows` · `columns` floats.
    public func matrix(named name: String, rows: Int, columns: Int) throws(NumericsError) -> Matrix {
        let size = try checkedProduct(rows, columns, MemoryLayout<Float>.stride, what: "size of \(name)"), bytes = try bytes(named: name)
        guard bytes.count == size else { throw .shapeMismatch(what: "bytes of \(name)", expected: "\(size)", found: "\(bytes.count)") }
        try charge(size)
        return Matrix(rows: rows, columns: columns) { elements in
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(elements).copyMemory(from: $0) }
        }
    }

    /// `count` codes of 8, 4, 2 or 1 bits.
    public func codes(named name: String, bits: Int, count: Int) throws(NumericsError) -> [Int8] {
        let bytes = try bytes(named: name), needed = count / (8 / bits) + (count % (8 / bits) == 0 ? 0 : 1)
        guard bytes.count == needed else { throw .shapeMismatch(what: "bytes of \(name)", expected: "\(needed)", found: "\(bytes.count)") }
        try charge(count)
        return CodePacking.unpack(bytes, bits: bits, count: count)
    }
}
