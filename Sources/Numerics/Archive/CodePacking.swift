/// Codes of few bits in bytes, and the places of stored blocks as gaps.
package enum CodePacking {
    /// 8 / `bits` codes in a byte, the first in the lowest bits; the last byte is filled with zeros. 1-bit codes −1 and 1 are 0 and 1.
    package static func pack(_ codes: [Int8], bits: Int) -> [UInt8] {
        if bits == 8 { return codes.map { UInt8(bitPattern: $0) } }
        let perByte = 8 / bits, mask = UInt8(1 << bits - 1)
        var bytes = [UInt8](repeating: 0, count: (codes.count + perByte - 1) / perByte)
        for (index, code) in codes.enumerated() {
            let field = bits == 1 ? (code > 0 ? 1 : 0) : UInt8(bitPattern: code) & mask
            bytes[index / perByte] |= field << UInt8(index % perByte * bits)
        }
        return bytes
    }

    /// - Precondition: there are bytes for `count` codes.
    package static func unpack(_ bytes: [UInt8], bits: Int, count: Int) -> [Int8] {
        let perByte = 8 / bits, mask = UInt8(truncatingIfNeeded: 1 << bits - 1), sign = UInt8(1 << (bits - 1))
        return [Int8](unsafeUninitializedCapacity: count) { codes, initialized in
            for index in 0..<count {
                let field = bytes[index / perByte] >> UInt8(index % perByte * bits) & mask
                codes[index] = bits == 1 ? (field == 0 ? -1 : 1) : Int8(bitPattern: field & sign == 0 ? field : field | ~mask)
            }
            initialized = count
        }
    }

    /// For each place, in ascending order, how many others were skipped since the last one; 255 means 255 skipped and none stored.
    package static func gaps(_ places: some Sequence<Int>) -> [UInt8] {
        var gaps: [UInt8] = [], next = 0
        for place in places {
            var gap = place - next
            while gap >= 255 {
                gaps.append(255)
                gap -= 255
            }
            gaps.append(UInt8(gap))
            next = place + 1
        }
        return gaps
    }

    /// Calls `body` with each place.
    ///
    /// - Throws: `NumericsError.invalidStructure` for a place beyond `count`, and the errors of `body`.
    package static func forEachPlace(
        _ gaps: [UInt8], count: Int, _ body: (Int) throws(NumericsError) -> Void
    ) throws(NumericsError) {
        var next = 0
        for gap in gaps {
            next += Int(gap)
            if gap == 255 { continue }
            guard next < count else { throw .invalidStructure(what: "places of stored weights", expected: "in 0..<\(count)", found: "\(next)") }
            try body(next)
            next += 1
        }
    }

    /// How many places `gaps` stands for.
    package static func placeCount(_ gaps: [UInt8]) -> Int { gaps.reduce(0) { $0 + ($1 == 255 ? 0 : 1) } }
}
