import CompactNumerics
import Testing

/// What holds for all three formats; the rounding of every kernel is tested beside the kernels.
private func expectIEEEOrder<Format: ReducedFloat>(_: Format.Type) {
    let ordered = ([-.infinity, -2, -1, -0.5, 0, 0.5, 1, 2, .infinity] as [Float]).map { Format($0) }
    for (i, a) in ordered.enumerated() {
        for (j, b) in ordered.enumerated() {
            #expect((a < b) == (i < j) && (a <= b) == (i <= j) && (a > b) == (i > j) && (a >= b) == (i >= j) && (a == b) == (i == j))
        }
    }
    let nan = Format(.nan)
    #expect(nan.isNaN && !nan.isInfinite && !nan.isFinite)
    for other in ordered + [nan] {
        #expect(!(nan == other) && nan != other)
        #expect(!(nan < other) && !(nan <= other) && !(nan > other) && !(nan >= other))
        #expect(!(other < nan) && !(other <= nan) && !(other > nan) && !(other >= nan))
    }
    let zero = Format(0.0)
    let negativeZero = Format(-0.0)
    #expect(zero == negativeZero && zero.bitPattern != negativeZero.bitPattern && zero.hashValue == negativeZero.hashValue)
    #expect(Set([zero, negativeZero, 1.0, Format(1)]).count == 2)
    #expect(Format(.infinity).isInfinite && Format(-.infinity).isInfinite && Format(1).isFinite)
}

@Suite struct FormatTests {
    @Test func orderAndHashing() {
        expectIEEEOrder(FP16.self)
        expectIEEEOrder(BF16.self)
        expectIEEEOrder(TF32.self)
    }

    @Test(
        arguments: [
            (1.0, 0x3C00), (-2.0, 0xC000), (65504.0, 0x7BFF), (65519.996, 0x7BFF), (65520.0, 0x7C00), (0x1p-24, 0x0001),
            (0x1p-25, 0x0000), (0x1.000002p-25, 0x0001), (0x1.002p0, 0x3C00), (0x1.006p0, 0x3C02), (-0.0, 0x8000), (.infinity, 0x7C00),
        ] as [(Float, UInt16)])
    func fp16Rounds(value: Float, bits: UInt16) {
        #expect(FP16(value).bitPattern == bits)
    }

    @Test(
        arguments: [
            (1.0, 0x3F80), (0x1.01p0, 0x3F80), (0x1.03p0, 0x3F82), (0x1.010002p0, 0x3F81), (.greatestFiniteMagnitude, 0x7F80),
            (.leastNonzeroMagnitude, 0x0000), (0x1p-133, 0x0001), (-3.0, 0xC040),
        ] as [(Float, UInt16)])
    func bf16Rounds(value: Float, bits: UInt16) {
        #expect(BF16(value).bitPattern == bits)
    }

    @Test func tf32RoundsInThreeModes() {
        // One unit of TF32 at 1 is 2⁻¹⁰; halfway values separate the modes.
        let cases: [(Float, even: Float, away: Float, zero: Float)] = [
            (0x1.002p0, 0x1p0, 0x1.004p0, 0x1p0),
            (-0x1.002p0, -0x1p0, -0x1.004p0, -0x1p0),
            (0x1.006p0, 0x1.008p0, 0x1.008p0, 0x1.004p0),
            (0x1.001ffep0, 0x1p0, 0x1p0, 0x1p0),
            (.greatestFiniteMagnitude, .infinity, .infinity, 0x1.ffcp127),
            (.infinity, .infinity, .infinity, .infinity),
        ]
        for (value, even, away, zero) in cases {
            #expect(Float(TF32(value)) == even)
            #expect(Float(TF32(value, rounding: .nearestEven)) == even)
            #expect(Float(TF32(value, rounding: .nearestAway)) == away)
            #expect(Float(TF32(value, rounding: .towardZero)) == zero)
        }
        for rounding in TF32.Rounding.allCases { #expect(TF32(.nan, rounding: rounding).isNaN) }
    }

    @Test func everySixteenBitPatternSurvivesWidening() {
        var wrong = 0
        for bits in UInt16.min...UInt16.max {
            let half = FP16(bitPattern: bits)
            let brain = BF16(bitPattern: bits)
            let quietHalf = half.isNaN ? bits | 0x0200 : bits
            let quietBrain = brain.isNaN ? bits | 0x0040 : bits
            if FP16(half.floatValue).bitPattern != quietHalf { wrong += 1 }
            if BF16(brain.floatValue).bitPattern != quietBrain { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test func textAndLiterals() {
        let half: FP16 = 0.1
        #expect(half.description == "0.099975586")
        #expect(BF16(3.14159).description == "3.140625")
        #expect("\(TF32(1.5))" == "1.5")
        #expect(FP16(.nan).description == "nan")
    }

    @Test func tf32DemandsLowZeros() async {
        #expect(TF32(bitPattern: 0x3F80_2000).floatValue == 0x1.004p0)
        await #expect(processExitsWith: .failure) { _ = TF32(bitPattern: 1) }
    }

    @Test(arguments: [0, 1, 7, 8, 31, 1000])
    func bulkConversionEqualsTheScalarOne(count: Int) {
        var generator = SystemRandomNumberGenerator()
        let values = (0..<count).map { _ in Float(bitPattern: generator.next()) }
        let source = AlignedBuffer<Float>(count: count, values)
        var halves = AlignedBuffer<FP16>(count: count)
        var brains = AlignedBuffer<BF16>(count: count)
        var halfSpan = halves.mutableSpan
        var brainSpan = brains.mutableSpan
        FP16.round(source.span, into: &halfSpan)
        BF16.round(source.span, into: &brainSpan)
        var wideHalves = AlignedBuffer<Float>(count: count)
        var wideBrains = AlignedBuffer<Float>(count: count)
        var wideHalfSpan = wideHalves.mutableSpan
        var wideBrainSpan = wideBrains.mutableSpan
        FP16.widen(halves.span, into: &wideHalfSpan)
        BF16.widen(brains.span, into: &wideBrainSpan)
        for (index, value) in values.enumerated() {
            let (half, brain) = (FP16(value), BF16(value))
            #expect(halves.span[index].bitPattern == half.bitPattern, "input \(value.bitPattern)")
            #expect(brains.span[index].bitPattern == brain.bitPattern, "input \(value.bitPattern)")
            #expect(wideHalves.span[index].bitPattern == half.floatValue.bitPattern, "input \(value.bitPattern)")
            #expect(wideBrains.span[index].bitPattern == brain.floatValue.bitPattern, "input \(value.bitPattern)")
        }
    }

    @Test(arguments: TF32.Rounding.allCases)
    func bulkTF32EqualsTheScalarOne(rounding: TF32.Rounding) {
        var generator = SystemRandomNumberGenerator()
        let values = (0..<1003).map { _ in Float(bitPattern: generator.next()) }
        let source = AlignedBuffer<Float>(count: values.count, values)
        var rounded = AlignedBuffer<Float>(count: values.count)
        var span = rounded.mutableSpan
        TF32.round(source.span, into: &span, rounding: rounding)
        for (index, value) in values.enumerated() {
            #expect(rounded.span[index].bitPattern == TF32(value, rounding: rounding).bitPattern, "input \(value.bitPattern)")
        }
    }

    @Test func bulkConversionDemandsEqualCounts() async {
        await #expect(processExitsWith: .failure) {
            let source = AlignedBuffer<Float>(count: 3)
            var destination = AlignedBuffer<FP16>(count: 2)
            var span = destination.mutableSpan
            FP16.round(source.span, into: &span)
        }
    }
}

extension AlignedBuffer where Element == Float {
    fileprivate init(count: Int, _ values: [Float]) {
        self.init(count: count)
        var span = mutableSpan
        for (index, value) in values.enumerated() { span[index] = value }
    }
}
