/// Memory that packed weights lie in, immutable once they are packed: of its own, or somebody else's, who keeps it as long as `owner` lives, such as a
/// file that is mapped. Kernels and layers do not tell the two apart.
internal final class PackedMemory: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let owner: (any AnyObject & Sendable)?

    /// Memory of its own, 64-byte aligned, all zeros.
    init(byteCount: Int) {
        base = UnsafeMutableRawPointer.allocate(byteCount: max(64, byteCount), alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: max(64, byteCount))
        (self.byteCount, owner) = (byteCount, nil)
    }

    /// The memory of `owner`, which is only read.
    ///
    /// - Precondition: it begins at a multiple of 64 bytes.
    init(borrowing memory: UnsafeRawBufferPointer, owner: any AnyObject & Sendable) {
        trapUnless(
            Int(bitPattern: memory.baseAddress) % 64 == 0 && memory.baseAddress != nil,
            "borrowed weights: expected memory that begins at a multiple of 64 bytes, found another address")
        base = UnsafeMutableRawPointer(mutating: memory.baseAddress!)
        (byteCount, self.owner) = (memory.count, owner)
    }

    deinit {
        if owner == nil { base.deallocate() }
    }
}
