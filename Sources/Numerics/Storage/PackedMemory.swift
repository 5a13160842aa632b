internal import Foundation

/// Memory that packed weights lie in, immutable once they are packed: of its own, or somebody else's, who keeps it as long as `owner` lives, such as a
/// file that is mapped. Kernels and layers do not tell the two apart.
internal final class PackedMemory: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let source: Source

    private enum Source {
        case allocated
        /// Pages of its own, so many bytes.
        case mapped(Int)
        case borrowed(any AnyObject & Sendable)
    }

    /// Memory of its own, 64-byte aligned, all zeros.
    init(byteCount: Int) {
        self.byteCount = byteCount
        if byteCount >= Self.hugePage, let pages = Self.hugePages(byteCount: byteCount) {
            (base, source) = (pages, .mapped(Self.mappedBytes(byteCount)))
            return
        }
        base = UnsafeMutableRawPointer.allocate(byteCount: max(64, byteCount), alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: max(64, byteCount))
        source = .allocated
    }

    /// The memory of `owner`, which is only read.
    ///
    /// - Precondition: it begins at a multiple of 64 bytes.
    init(borrowing memory: UnsafeRawBufferPointer, owner: any AnyObject & Sendable) {
        trapUnless(
            Int(bitPattern: memory.baseAddress) % 64 == 0 && memory.baseAddress != nil,
            "borrowed weights: expected memory that begins at a multiple of 64 bytes, found another address")
        base = UnsafeMutableRawPointer(mutating: memory.baseAddress!)
        (byteCount, source) = (memory.count, .borrowed(owner))
    }

    deinit {
        switch source {
        case .allocated: base.deallocate()
        case .mapped(let count): munmap(base, count)
        case .borrowed: break
        }
    }

    // MARK: - Pages

    private static let hugePage = 2 << 20

    private static func mappedBytes(_ byteCount: Int) -> Int { roundUp(byteCount, toMultipleOf: Int(getpagesize())) }

    /// Pages of zeros that begin at a multiple of 2 MiB. Linux is asked to make the whole 2 MiB of them huge pages: 16 MiB take 1.5 to 2.5 ms to be there
    /// instead of 6 to 8 (Emerald Rapids), and kernels miss the TLB less. It may refuse, which changes nothing else. The rest behind the last 2 MiB, and smaller
    /// memory, stay small pages: `byteCount` is what is held. Nil where that is not to be had.
    private static func hugePages(byteCount: Int) -> UnsafeMutableRawPointer? {
        #if os(Linux)
            let held = mappedBytes(byteCount)
            guard let start = mmap(nil, held + hugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), start != MAP_FAILED else {
                return nil
            }
            let before = -Int(bitPattern: start) & (hugePage - 1), base = start + before
            if before > 0 { munmap(start, before) }
            munmap(base + held, hugePage - before)
            madvise(base, byteCount / hugePage * hugePage, MADV_HUGEPAGE)
            return base
        #else
            return nil
        #endif
    }
}
