/// Codes of few bits in bytes, and the places of stored weights as gaps.
internal enum CodePacking {
    /// 8 / `bits` codes in a byte, the first in the lowest bits; the last byte is filled with zeros. 1-bit codes −1 and 1 are 0 and 1.
    static func pack(_ codes: [Int8], bits: Int) -> [UInt8] {
        if bits == 8 { return codes.map { UInt8(bitPattern: $0) } }
        let perByte = 8 / bits, mask = UInt8(1 << bits - 1)
        var bytes = [UInt8](repeating: 0, count: (codes.count + perByte - 1) / perByte)
        for (index, code) in codes.enumerated() {
            let field = bits == 1 ? (code > 0 ? 1 : 0) : UInt8(bitPattern: code) & mask
            bytes[index / perByte] |= field << UInt8(index % perByte * bits)
        }
        return bytes
    }

    static func unpack(_ bytes: [UInt8], bits: Int, count: Int) -> [Int8] {
        if bits == 8 { return bytes.prefix(count).map { Int8(bitPattern: $0) } }
        let perByte = 8 / bits, mask = UInt8(1 << bits - 1), sign = UInt8(1 << (bits - 1))
        return (0..<count).map { index in
            let field = bytes[index / perByte] >> UInt8(index % perByte * bits) & mask
            if bits == 1 { return field == 0 ? -1 : 1 }
            return field & sign == 0 ? Int8(field) : Int8(bitPattern: field | ~mask)
        }
    }

    /// For each place, in ascending order, how many others were skipped since the last one; 255 means 255 skipped and none stored.
    static func gaps(_ places: [Int]) -> [UInt8] {
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

    /// The places, nil where they lie beyond `count`.
    static func places(_ gaps: [UInt8], count: Int) -> [Int]? {
        var places: [Int] = [], next = 0
        for gap in gaps {
            next += Int(gap)
            if gap == 255 { continue }
            guard next < count else { return nil }
            places.append(next)
            next += 1
        }
        return places
    }
}
