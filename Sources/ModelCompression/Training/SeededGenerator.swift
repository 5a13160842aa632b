internal import Foundation

/// Pseudo-random numbers that are the same on every machine: xoshiro256++ (Blackman and Vigna 2019), its state filled by SplitMix64
/// (Steele, Lea and Flood, OOPSLA 2014).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// Generators of different seeds or streams are independent for practical purposes.
    public init(seed: UInt64, stream: UInt64 = 0) {
        var mixer = SplitMix64(state: seed ^ SplitMix64.mix(stream &+ 0x9E37_79B9_7F4A_7C15))
        state = (mixer.next(), mixer.next(), mixer.next(), mixer.next())
    }

    public mutating func next() -> UInt64 {
        let sum = state.0 &+ state.3
        let result = (sum << 23 | sum >> 41) &+ state.0
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 << 45 | state.3 >> 19
        return result
    }

    /// A number in [0, 1).
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A Gaussian number of mean 0 and deviation 1 (Box and Muller 1958).
    public mutating func gaussian() -> Double {
        let radius = (-2 * log(1 - uniform())).squareRoot()
        return radius * cos(2 * Double.pi * uniform())
    }

    /// An index in 0..<bound without bias (Lemire 2019, arXiv:1805.10941). Not left to the standard library, whose algorithm may change.
    internal mutating func index(below bound: Int) -> Int {
        let range = UInt64(bound)
        while true {
            let (high, low) = next().multipliedFullWidth(by: range)
            if low >= range || low >= (0 &- range) % range { return Int(high) }
        }
    }

    /// Shuffles `values` (Fisher and Yates).
    public mutating func shuffle<Element>(_ values: inout [Element]) {
        values.withUnsafeMutableBufferPointer { values in
            var last = values.count - 1
            while last > 0 {
                values.swapAt(last, index(below: last + 1))
                last -= 1
            }
        }
    }
}

internal struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
