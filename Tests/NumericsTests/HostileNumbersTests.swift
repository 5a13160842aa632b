import CompactNumerics
import Testing

/// Every public initializer of this module that throws, with each of its integers and floats replaced by numbers that break arithmetic: an error or a
/// value, never a trap.
@Suite struct HostileNumbersTests {
    private static let integers = [0, -1, .max, .min, 1 << 31, 1 << 40, .max / 2, 1 << 62]
    private static let floats: [Float] = [.nan, .infinity, -.infinity, .leastNonzeroMagnitude, -.greatestFiniteMagnitude, 0, -1]

    /// Calls `make` with sound integers and floats but one; returns how many calls threw.
    private func vary(
        _ integers: [Int], _ floats: [Float] = [], _ make: ([Int], [Float]) throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(throws: Never.self, "sound numbers", sourceLocation: sourceLocation) { try make(integers, floats) }
        func expectTyped(_ integers: [Int], _ floats: [Float]) {
            do {
                try make(integers, floats)
            } catch {
                #expect(error is NumericsError, "\(integers) \(floats): \(error)", sourceLocation: sourceLocation)
            }
        }
        for place in integers.indices {
            for number in Self.integers {
                var hostile = integers
                hostile[place] = number
                expectTyped(hostile, floats)
            }
        }
        for place in floats.indices {
            for number in Self.floats {
                var hostile = floats
                hostile[place] = number
                expectTyped(integers, hostile)
            }
        }
    }

    @Test func matrices() {
        vary([2, 3], [1, 2, 3, 4, 5, 6]) { _ = try Matrix(rows: $0[0], columns: $0[1], elements: $1) }
        vary([2, 3]) { i, _ in _ = try WeightMask(rows: i[0], columns: i[1], keeps: [true, false, true, true, true, false]) }
        vary([2, 3]) { i, _ in _ = try HalfMatrix(rows: i[0], columns: i[1], format: .fp16, patterns: [1, 2, 3, 4, 5, 6]) }
        vary([], [1, 2]) { _, f in _ = try HalfMatrix(Matrix(rows: 1, columns: 2, elements: f), format: .bf16) }
        vary([8], [1, -2]) { i, f in _ = try AffineCodes(Matrix(rows: 1, columns: 2, elements: f), bits: i[0], symmetry: .asymmetric) }
        vary([2], [1, -2]) { i, f in _ = try AffineCodes(Matrix(rows: 1, columns: 2, elements: f), bits: 4, granularity: .group(i[0])) }
    }

    @Test func quantizedWeights() throws {
        let codes = [Int8](repeating: 1, count: 64)
        vary([2, 32], [1, 2]) { i, f in _ = try QuantizedMatrix(rows: i[0], columns: i[1], scheme: .w8a8, codes: codes, scales: f) }
        vary([1, 64, 32], [1]) { i, f in
            let scheme = try QuantizationScheme(bits: 4, granularity: .group(i[2]))
            _ = try QuantizedMatrix(rows: i[0], columns: i[1], scheme: scheme, codes: codes, multipliers: [1, 1], scales: f)
        }
        vary([4]) { i, _ in _ = try QuantizationScheme(bits: i[0], granularity: .tensor) }
        for scheme in [QuantizationScheme.w8a8, .w4a8, .w2a8, .ternary, .w1a8] {
            vary([], [1, -2, 3]) { _, f in _ = try QuantizedMatrix(Matrix(rows: 1, columns: 3, elements: f), scheme: scheme) }
        }
        let weight = try QuantizedMatrix(Matrix(rows: 2, columns: 3) { Float($0 + $1) }, scheme: .w8a8)
        vary([3], [0.5]) { i, f in _ = try QuantizedLinear(weight: weight, inputQuantization: .fixed(scale: f[0], zeroPoint: i[0])) }
    }

    @Test func sparseWeights() throws {
        let dense = Matrix(rows: 4, columns: 8) { Float($0 + $1) }
        vary([], [1, 2, 3]) { _, f in _ = try CSRMatrix(Matrix(rows: 1, columns: 3, elements: f), sparsity: 0.5) }
        for number in [-Double.infinity, .nan, -0.1, 1.1, .greatestFiniteMagnitude] {
            #expect(throws: NumericsError.self) { try BlockSparseMatrix(dense, sparsity: number, shape: .single) }
        }
        vary([2, 40, 0, 2, 3, 5, 7], [1, 2, 3]) { i, f in
            _ = try CSRMatrix(rows: i[0], columns: i[1], rowOffsets: [i[2], i[3], i[4]], columnIndices: [i[5], i[6], 9], storedValues: f)
        }
        vary([1, 8, 0, 1], [0.5]) { i, f in
            _ = try BlockSparseMatrix(
                rows: i[0], columns: i[1], shape: BlockShape(rows: 1, columns: 4), blockOffsets: [i[2], 1], blockColumns: [i[3]],
                codes: [1, 2, 3, 4], scales: f)
        }
        vary([64]) { i, _ in _ = try BlockSparseMatrix(dense, sparsity: 0.5, shape: .single, expectedRows: i[0]) }
        vary([4, 1]) { i, _ in _ = try BlockShape(rows: i[0], columns: i[1]) }
        vary([2, 4]) { i, _ in _ = try NMSparsity(kept: i[0], group: i[1]) }
        vary([1, 8], [0.5]) { i, f in
            _ = try NMSparseMatrix(
                rows: i[0], columns: i[1], sparsity: .twoOfFour, arrays: NMArrays(positions: [0, 1, 2, 3], codes: [1, 2, 3, 4], scales: f))
        }
        vary([1, 8], [1, 2, 3, 4]) { i, f in
            _ = try NMSparseMatrix(rows: i[0], columns: i[1], sparsity: .fourOfEight, arrays: NMArrays(positions: [0, 3, 5, 7], values: f))
        }
        let codes = try BlockSparseMatrix(dense, sparsity: 0.5, shape: .single, values: .int8)
        vary([3], [0.5]) { i, f in _ = try SparseLinear(weight: codes, inputQuantization: .fixed(scale: f[0], zeroPoint: i[0])) }
    }

    @Test func images() {
        vary([8, 8, 3, 3, 3, 1, 1]) { i, _ in
            let windows = try ImageWindows(
                height: i[0], width: i[1], channels: i[2], windowHeight: i[3], windowWidth: i[4], stride: i[5], padding: i[6])
            _ = windows.count * windows.patchCount + windows.imageCount
        }
        vary([2], [1, 2]) { i, f in _ = try ScaleShift(scale: [f[0]], shift: [f[1]], positions: i[0]).inputCount }
    }

    /// The cases that ended the process, with their words.
    @Test func namedCasesSayWhatIsWrong() throws {
        func message(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no error"
            } catch { return "\(error)" }
        }
        #expect(
            message { _ = try CSRMatrix(rows: 2, columns: 40, rowOffsets: [0, 10, 2], columnIndices: [1, 2], storedValues: [1, 2]) }
                == "row offset 1: expected in 0...2, found 10")
        #expect(
            message { _ = try CSRMatrix(rows: 2, columns: 40, rowOffsets: [0, UInt64.max, 2], columnIndices: [1, 2], storedValues: [1, 2]) }
                == "row offset 1: expected in 0...2, found 18446744073709551615")
        #expect(
            message { _ = try WeightMask(rows: .max, columns: 2, keeps: []) }
                == "size of a mask: expected at most 9223372036854775807 in all, found 9223372036854775807×2")
        #expect(
            message { _ = try QuantizedMatrix(rows: .max, columns: 2, scheme: .w8a8, codes: [], scales: []) }.hasPrefix(
                "quantized weights: expected at most"))
        #expect(
            message { _ = try CSRMatrix(rows: 1, columns: 1 << 40, rowOffsets: [0, 1], columnIndices: [5], storedValues: [1]) }
                == "sparse weights: expected 1×1 to 4294967295×16777216, found 1×1099511627776")
        #expect(
            message { _ = try ScaleShift(scale: [1, 1], shift: [0, 0], positions: .max) }
                == "numbers of a sample: expected at most 2147483647 in all, found 9223372036854775807×2")
    }

    /// What an image costs is bounded when the layer is made.
    @Test func imagesOfEndlessWorkAreRefused() throws {
        let side = 1 << 20
        #expect(throws: NumericsError.self) {
            try ImageWindows(height: 1, width: 1, channels: 1, windowHeight: side, windowWidth: side, padding: side - 1)
        }
        #expect(throws: NumericsError.self) {
            try ImageWindows(height: 1000, width: 1000, channels: 1, windowHeight: 1000, windowWidth: 1000, padding: 999)
        }
        let windows = try ImageWindows(height: 1024, width: 1024, channels: 64, windowHeight: 3, windowWidth: 3, padding: 1)
        #expect(throws: NumericsError.self) { try Convolution(windows: windows, linear: Linear(weight: Matrix(rows: 512, columns: 576))) }
        _ = try Convolution(windows: windows, linear: Linear(weight: Matrix(rows: 256, columns: 576)))
    }
}
