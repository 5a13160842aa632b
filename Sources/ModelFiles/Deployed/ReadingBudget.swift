internal import CompactNumerics

/// The memory that reading a file may take: 16 times its bytes + 64 MB, for what is read, what it is made into on the way, and the layers.
///
/// What is charged counts until the layer that is being made is complete; the layer itself counts from then on.
internal final class ReadingBudget {
    private let limit: Int
    private var kept = 0
    private var transient = 0
    /// The most that was taken at a time.
    private(set) var peak = 0

    static func limit(storedBytes: Int) -> Int { 16 * storedBytes + 64 << 20 }

    init(limit: Int) { self.limit = limit }

    /// - Throws: `NumericsError.outOfRange` where `bytes` more exceed the limit.
    func charge(_ bytes: Int) throws(NumericsError) {
        try take(bytes, from: transient)
        transient += bytes
    }

    /// A layer of `byteCount` bytes is complete: what it was made from is gone.
    func complete(byteCount: Int) throws(NumericsError) {
        transient = 0
        try take(byteCount, from: 0)
        kept += byteCount
    }

    private func take(_ bytes: Int, from transient: Int) throws(NumericsError) {
        let (sum, overflow) = (kept + transient).addingReportingOverflow(max(0, bytes))
        guard !overflow, sum <= limit else {
            throw .outOfRange(
                what: "memory for reading", allowed: "at most \(limit) bytes, 16 times those of the file and 64 MB",
                found: overflow ? "more than \(Int.max)" : "\(sum)")
        }
        peak = max(peak, sum)
    }
}

extension ReadingBudget {
    /// Bytes that a byte of the descriptions takes as text, on its way through the JSON decoder, and as fields: 16 were measured for many small layers
    /// (HostileDeployedTests prints them), the rest is a margin.
    static let bytesPerDescribedByte = 40
}
