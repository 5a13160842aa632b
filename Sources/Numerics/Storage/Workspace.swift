/// Scratch memory of layers: quantized activations, decoded panels, hidden activations. It grows to the largest need and is
/// reused, so that a network that runs with the same workspace again allocates nothing. One owner, one use at a time.
public struct Workspace: ~Copyable {
    private var memory: AlignedBuffer<UInt8>
    // Of the outputs of layers inside a Sequential.
    package var hidden: [Matrix] = []
    // Windows of images, and their products.
    package var convolution: [Matrix] = []

    /// An empty workspace.
    public init() {
        memory = AlignedBuffer(unfilledCount: 0)
    }

    /// Bytes held.
    public var byteCount: Int { memory.count + (hidden + convolution).reduce(0) { $0 + 4 * $1.count } }

    /// Memory of at least `byteCount` bytes, aligned to 64, whose contents are undefined; valid until the next call.
    package mutating func reserve(byteCount: Int) -> UnsafeMutableRawPointer {
        if memory.count < byteCount {
            memory = AlignedBuffer(unfilledCount: byteCount)
        }
        return UnsafeMutableRawPointer(memory.baseAddress)
    }
}

/// Divides one reservation into parts that begin at multiples of 64 bytes: measure with `nil`, then again with the memory.
package struct Carver {
    package private(set) var byteCount = 0
    private let base: UnsafeMutableRawPointer?

    package init(_ base: UnsafeMutableRawPointer?) {
        self.base = base
    }

    /// The next `count` elements; null while measuring.
    package mutating func take<Element: BitwiseCopyable>(_: Element.Type, _ count: Int) -> UnsafeMutablePointer<Element>? {
        let start = byteCount
        byteCount += (count * MemoryLayout<Element>.stride + 63) / 64 * 64
        return base.map { ($0 + start).bindMemory(to: Element.self, capacity: count) }
    }
}
