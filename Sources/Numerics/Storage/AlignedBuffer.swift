/// Memory for `count` elements that begins at a multiple of 64 bytes and has one owner: the buffer cannot be copied, and
/// its memory is freed when it goes out of scope.
///
/// 64 bytes are a cache line and the widest vector register, so no load of a full vector from the start of a row of
/// 16 floats straddles two lines. The allocation is a multiple of 64 bytes long, and what lies behind the last element is zero.
@frozen
public struct AlignedBuffer<Element: BitwiseCopyable>: ~Copyable {
    /// Alignment of the first element, in bytes.
    @inlinable public static var alignment: Int { 64 }

    @usableFromInline package let baseAddress: UnsafeMutablePointer<Element>

    /// Number of elements.
    public let count: Int

    /// Memory of `count` elements, all of whose bytes are zero. Numbers are then zero.
    ///
    /// - Precondition: `count` is not negative, and its bytes can be counted in an `Int`.
    public init(count: Int) {
        self.init(unfilledCount: count)
        UnsafeMutableRawPointer(baseAddress).initializeMemory(as: UInt8.self, repeating: 0, count: Self.allocatedBytes(count))
    }

    /// Memory of `count` elements that hold no values yet: write each element before it is read.
    package init(unfilledCount count: Int) {
        let bytes = Self.allocatedBytes(count)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: Self.alignment)
        let used = count * MemoryLayout<Element>.stride
        (memory + used).initializeMemory(as: UInt8.self, repeating: 0, count: bytes - used)
        // For a trivial type, binding makes whatever bits are there the values.
        self.baseAddress = memory.bindMemory(to: Element.self, capacity: count)
        self.count = count
    }

    /// The elements of `source`, copied.
    public init(copying source: Span<Element>) {
        self.init(unfilledCount: source.count)
        let destination = baseAddress
        source.withUnsafeBufferPointer { elements in
            if let first = elements.baseAddress { destination.update(from: first, count: elements.count) }
        }
    }

    deinit {
        UnsafeMutableRawPointer(baseAddress).deallocate()
    }

    /// Bytes that hold elements, without what alignment adds.
    public var byteCount: Int { count * MemoryLayout<Element>.stride }

    /// Bytes to allocate: those of the elements, rounded up to whole lines, at least one.
    private static func allocatedBytes(_ count: Int) -> Int {
        trapUnless(count >= 0, "AlignedBuffer: expected a count of at least 0, found \(count)")
        let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        trapUnless(
            !overflow && bytes <= Int.max - alignment,
            "AlignedBuffer: expected at most \(Int.max) bytes, found \(count) elements of \(MemoryLayout<Element>.stride) bytes")
        return max(alignment, (bytes + alignment - 1) / alignment * alignment)
    }
}

// Sound as for an array: one owner, and writing needs exclusive access to it.
extension AlignedBuffer: @unchecked Sendable where Element: Sendable {}

extension AlignedBuffer {
    /// The elements, for reading.
    @inlinable
    public var span: Span<Element> {
        @_lifetime(borrow self)
        get {
            let span = Span(_unsafeStart: UnsafePointer(baseAddress), count: count)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// The elements, for reading and writing.
    @inlinable
    public var mutableSpan: MutableSpan<Element> {
        @_lifetime(&self)
        mutating get {
            let span = MutableSpan(_unsafeStart: baseAddress, count: count)
            return _overrideLifetime(span, mutating: &self)
        }
    }

    /// Calls `body` with the elements; the pointer is valid until it returns.
    @inlinable
    public borrowing func withUnsafeBufferPointer<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeBufferPointer(start: baseAddress, count: count))
    }

    /// Calls `body` with the elements for writing; the pointer is valid until it returns.
    @inlinable
    public mutating func withUnsafeMutableBufferPointer<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeMutableBufferPointer(start: baseAddress, count: count))
    }
}
