import CompactNumerics
import Testing

@testable import Benchmarks

@Suite struct PeaksTests {
    /// Every set of this machine has every limit that its kernels are judged by.
    @Test(arguments: InstructionSet.available.map(\.name)) func limitsOfEverySet(set: String) throws {
        let peaks = Peaks(parallelism: .serial, kernels: set, blas: set)
        let listed = peaks.listed
        #expect(listed.count(where: { $0.name.hasPrefix("read") }) == Peaks.bufferSizes.count)
        for quantity in PeakQuantity.allCases where quantity != .count { #expect(listed.contains { $0.name == quantity.description }, "\(quantity)") }
        for (name, loop, limit) in listed where !name.hasPrefix("read") {
            #expect(PeakSet(name: set).chain.contains(loop) && peaks.measure(limit, seconds: 0.001) > 0, "\(name)")
        }
        // Also of a buffer smaller than the loops read at once, and split among threads.
        for (bytes, threads) in [(1, 1), (10_000, 1), (3 << 20, 1), (10_000, 3)] {
            let peaks = Peaks(parallelism: Parallelism(threads: threads), kernels: set, blas: set)
            #expect(peaks.measure(.read(bytes: bytes, peaks.kernels), seconds: 0.001) > 0)
        }
    }

    @Test func setsTakeTheLoopsOfThoseBelow() {
        #expect(PeakSet(name: "avx512vnni").chain == ["avx512vnni", "avx512", "avx2", "portable"] && PeakSet(name: "avx512vnni").hasVNNI)
        #expect(PeakSet(name: "avxvnni").chain == ["avxvnni", "avx2", "portable"] && PeakSet(name: "avxvnni").hasVNNI)
        #expect(PeakSet(name: "avx2").chain == ["avx2", "portable"] && !PeakSet(name: "avx512").hasVNNI)
        #expect(PeakSet(name: "i8mm").chain == ["i8mm", "dotprod", "neon", "portable"] && PeakSet(name: "i8mm").hasVNNI)
        #expect(!PeakSet(name: "neon").hasVNNI && !PeakSet(name: "armbf16").chain.contains { $0.hasPrefix("avx") })
        #expect(PeakSet(name: "of another machine").chain == ["portable"] && PeakSet(name: BLASKernels.accelerate).chain == ["portable"])
    }

    @Test func everyFormatHasDemands() throws {
        let peaks = Peaks(parallelism: .serial, kernels: "avx512bf16", blas: "avx512"), shape = Shape(m: 4, k: 64, n: 32)
        let linear = try Linear(weight: Matrix(rows: 32, columns: 64) { Float($0 - $1) })
        for name in ["float32"] + WeightFormat.denseDefaults {
            let demands = try WeightFormat(denseNamed: name).demands(shape, weightBytes: 1000, peaks)
            let set = name == "float32" ? peaks.blas : peaks.kernels
            #expect(demands.count == 2 && demands[1].ways[0].limit == .read(bytes: 1000, set) && demands[1].ways[0].amount == 1000)
            #expect(demands[0].ways.allSatisfy { $0.amount >= shape.operations })
        }
        for name in SparseFormat.defaults {
            let format = try SparseFormat(named: name), layer = try format.layer(linear, sparsity: 0.5, rows: 4)
            #expect(format.demands(shape, layer, peaks).count >= 2)
        }
    }

    @Test func theLargerMeasurementCountsAndMoreThanAllIsExplained() {
        let set = PeakSet(name: "avx2"), int8 = Limit.operations(.int8, set), folded = Limit.operations(.int8Folded, set)
        let read = Limit.read(bytes: 1 << 20, set)
        let demands = [Demand((int8, 100), (folded, 100)), .reading(1 << 20, set)]
        let steady = PeakFigures(before: [int8: 100, folded: 200, read: 0x1p22], after: [int8: 101, folded: 201, read: 0x1p22])
        #expect(steady[folded] == 201 && steady.leastSeconds(demands).limit == folded)
        #expect(abs(steady.judge(demands, seconds: 1).ofLimit - 100.0 / 201) < 1e-12)
        #expect(steady.judge(demands, seconds: 0.49).note == nil)  // 101.5 %
        #expect(steady.judge(demands, seconds: 0.4).why?.contains("folds more") == true)
        let changed = PeakFigures(before: [int8: 100, folded: 150, read: 0x1p22], after: [int8: 100, folded: 200, read: 0x1p22])
        #expect(changed.judge(demands, seconds: 0.4).why?.contains("speed changed") == true)
        let slowMemory = PeakFigures(before: [int8: 100, folded: 200, read: 0x1p10], after: [:])
        #expect(slowMemory.judge(demands, seconds: 100).why?.contains("cache") == true)
        let unit = Limit.operations(.float32, PeakSet(name: BLASKernels.accelerate)), apple = PeakFigures(before: [unit: 100], after: [unit: 100])
        #expect(apple.judge([Demand((unit, 100))], seconds: 0.1).why?.hasPrefix("Accelerate multiplies on a matrix unit") == true)
        // A set without a loop for one of the ways is judged by the others.
        #expect(PeakFigures(before: [int8: 100, read: 0x1p30], after: [:]).leastSeconds(demands).limit == int8)
    }

    @Test func anOldBaselineIsTold() {
        func warning(_ core: String?, _ available: [String], isForced: Bool = false) -> String? {
            BLASKernels(core: core, available: available, isForced: isForced).warning
        }
        let avx512 = ["portable", "avx2", "avx512", "avx512vnni"], avx2 = ["portable", "avx2", "avxvnni"]
        #expect(warning("SkylakeX", avx512) == nil && warning("Haswell", avx2) == nil && warning(nil, avx512) == nil)
        #expect(warning("Zen", avx512, isForced: true)?.contains("OPENBLAS_CORETYPE is set") == true)
        #expect(warning("Prescott", avx512)?.contains("OPENBLAS_CORETYPE=SkylakeX") == true)
        #expect(warning("Prescott", avx2)?.contains("OPENBLAS_CORETYPE=Haswell") == true)
        #expect(warning("Prescott", ["portable"]) == nil)
        #expect(BLASKernels(core: "Cooperlake", available: avx512, isForced: false).set == "avx512")
        #expect(BLASKernels(core: nil, available: avx2, isForced: false).set == "avx2")
        let arm64 = ["portable", "neon", "dotprod"], apple = BLASKernels(core: nil, available: arm64, isForced: false, isAccelerate: true)
        #expect(warning("NEOVERSEN1", arm64) == nil && apple.set == BLASKernels.accelerate && apple.warning == nil)
    }
}
