#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A name as file formats compare names: by its UTF-8 bytes.
///
/// Strings of Swift compare by canonical equivalence, for which two spellings of é are one name, and their hash and comparison take time that
/// is quadratic in the length of a run of combining marks: 80 kB of them take seconds. So no text of a file is hashed or compared as a string.
internal struct UTF8Name: Hashable, Comparable, Sendable {
    let text: String
    /// Kept, since a table that grows asks for it again and again. The seed differs from process to process, so nobody can aim at one bucket.
    private let digest: Int

    init(_ text: String) {
        var hasher = Hasher()
        text.withBytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        self.text = text
        digest = hasher.finalize()
    }

    static func == (left: UTF8Name, right: UTF8Name) -> Bool {
        left.digest == right.digest && left.text.hasBytes(of: right.text)
    }

    static func < (left: UTF8Name, right: UTF8Name) -> Bool { left.text.precedesInBytes(right.text) }

    func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}

extension String {
    /// Whether the UTF-8 of both is the same: for text from a file, where `==` may take for ever (see `UTF8Name`).
    package func hasBytes(of other: String) -> Bool {
        utf8.count == other.utf8.count && orderOfBytes(other) == 0
    }

    /// The order of UTF-8 bytes, which is that of the scalars.
    internal func precedesInBytes(_ other: String) -> Bool {
        orderOfBytes(other) < 0
    }

    /// Less than, equal to or greater than 0, as memcmp has it.
    private func orderOfBytes(_ other: String) -> Int {
        withBytes { left in
            other.withBytes { right in
                let count = min(left.count, right.count)
                let order = count == 0 ? 0 : Int(memcmp(left.baseAddress!, right.baseAddress!, count))
                return order != 0 ? order : left.count - right.count
            }
        }
    }

    internal func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
        var copy = self  // a string of Foundation's on Darwin
        return copy.withUTF8(body)
    }
}
