import ArgumentParser
import CompactNumerics
import Foundation

/// M rows of K inputs times weights of N outputs.
struct Shape: ExpressibleByArgument, Hashable, CustomStringConvertible {
    let m: Int, k: Int, n: Int

    /// The largest matrix that a shape may have, in elements: 2 GiB of float32.
    static let maximumElements = 1 << 29

    init(m: Int, k: Int, n: Int) {
        (self.m, self.k, self.n) = (m, k, n)
    }

    init?(argument: String) {
        let sizes = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard sizes.count == 3, let m = sizes[0], let k = sizes[1], let n = sizes[2] else { return nil }
        self.init(m: m, k: k, n: n)
    }

    var description: String { "\(m)x\(k)x\(n)" }
    var operations: Double { 2 * Double(m) * Double(k) * Double(n) }

    /// Throws one line unless matrices of this shape can be made.
    func check() throws {
        guard m >= 1, k >= 1, n >= 1 else {
            throw BenchmarkError("shape \(self): expected MxKxN with sizes of at least 1")
        }
        for (rows, columns) in [(m, k), (n, k), (m, n)] {
            let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
            guard !overflow, count <= Self.maximumElements else {
                throw BenchmarkError("shape \(self): expected matrices of at most \(Self.maximumElements) elements, found \(rows)×\(columns)")
            }
        }
        guard k <= QuantizedMatrix.maximumColumns else {
            throw BenchmarkError("shape \(self): expected K of at most \(QuantizedMatrix.maximumColumns), found \(k)")
        }
    }
}

/// Options of every subcommand.
struct SharedOptions: ParsableArguments {
    @Option(help: "Threads for everything that is measured, the float32 baseline included.")
    var threads = 1

    @Option(help: ArgumentHelp("Also write the figures as JSON to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Seconds of timing for each figure.", valueName: "seconds"))
    var seconds = 0.3

    // Checks run before anything is printed. They are no `validate()`, whose errors come with a page of usage.
    func check() throws {
        guard (1...1024).contains(threads) else { throw BenchmarkError("--threads: expected 1…1024, found \(threads)") }
        guard seconds > 0, seconds <= 60 else { throw BenchmarkError("--seconds: expected a number above 0, up to 60, found \(seconds)") }
        try OutputPaths.check([("--json", json)])
    }

    var parallelism: Parallelism { Parallelism(threads: threads) }

    /// Runs `body` with an empty report and writes the report where it was asked for.
    func withReport(_ body: (Report) throws -> Void) throws {
        let report = Report(machine: MachineDescription(parallelism: parallelism))
        report.machine.printHeader()
        try body(report)
        if let json { try report.write(to: json) }
    }
}

/// Deterministic random numbers (SplitMix64, Steele et al. 2014), so that every run measures the same data.
struct RandomNumbers {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in 0..<1.
    mutating func uniform() -> Float {
        Float(next() >> 40) * 0x1p-24
    }

    /// Gaussian numbers of mean 0, as sums of twelve 16-bit uniforms (Irwin–Hall): cheap in debug builds, and the tails, which decide how
    /// often pairs of int8 weights are large, are right to 4 σ.
    mutating func gaussianMatrix(rows: Int, columns: Int, deviation: Float) -> Matrix {
        var matrix = Matrix(rows: rows, columns: columns)
        // The variance of the sum of twelve uniforms in 0..<65,536 is 65,536².
        let scale = deviation / 65536
        matrix.withUnsafeMutableBufferPointer { elements in
            guard var next = elements.baseAddress else { return }
            let end = next + elements.count
            while next < end {
                // Sums of four 16-bit fields of three numbers at once, two fields in each half.
                let (a, b, c) = (self.next(), self.next(), self.next())
                let low: UInt64 = 0x0000_FFFF_0000_FFFF
                let pairs = (a & low) &+ (a >> 16 & low) &+ (b & low) &+ (b >> 16 & low) &+ (c & low) &+ (c >> 16 & low)
                let sum = (pairs & 0xFFFF_FFFF) &+ (pairs >> 32)
                next.pointee = (Float(Int32(truncatingIfNeeded: sum)) - 393_210) * scale
                next += 1
            }
        }
        return matrix
    }
}
