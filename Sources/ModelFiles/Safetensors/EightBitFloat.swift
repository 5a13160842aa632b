internal import CompactNumerics

/// Numbers of floats of 8 bits, by their codes.
///
/// E4M3 and E5M2 are those of the OCP 8-bit Floating Point Specification 1.0, the FNUZ variants those of Noune et al. 2022 (arXiv:2206.02915),
/// as torch has them: no negative zero, whose code is NaN, no infinity, a bias larger by one. E8M0 is the scale of the OCP Microscaling formats 1.0.
internal enum EightBitFloat {
    /// The number of each of the 256 codes.
    static func table(_ type: TensorType) -> [Float] {
        (0...UInt8.max).map { code in
            let isNegative = code & 0x80 != 0
            switch type {
            case .f8e4m3: return code & 0x7F == 0x7F ? nan(isNegative) : number(code, fractionBits: 3, bias: 7)
            case .f8e5m2:
                if code & 0x7F > 0x7C { return nan(isNegative) }
                return code & 0x7F == 0x7C ? (isNegative ? -.infinity : .infinity) : number(code, fractionBits: 2, bias: 15)
            case .f8e4m3fnuz: return code == 0x80 ? nan(isNegative) : number(code, fractionBits: 3, bias: 8)
            case .f8e5m2fnuz: return code == 0x80 ? nan(isNegative) : number(code, fractionBits: 2, bias: 16)
            case .f8e8m0: return code == 0xFF ? nan(false) : Float(sign: .plus, exponent: Int(code) - 127, significand: 1)
            default: trap("table of \(type.rawValue): expected a float of 8 bits")
            }
        }
    }

    /// Sign, exponent, fraction; an exponent of 0 has no leading 1.
    private static func number(_ code: UInt8, fractionBits: Int, bias: Int) -> Float {
        let fraction = Int(code) & ((1 << fractionBits) - 1), exponent = Int(code & 0x7F) >> fractionBits
        let integer = exponent == 0 ? fraction : fraction + 1 << fractionBits
        let magnitude = Float(integer) * Float(sign: .plus, exponent: max(exponent, 1) - bias - fractionBits, significand: 1)
        return code & 0x80 == 0 ? magnitude : -magnitude
    }

    private static func nan(_ isNegative: Bool) -> Float {
        isNegative ? -.nan : .nan
    }
}
