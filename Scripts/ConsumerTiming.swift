// What a package that depends on a version of this one sees in its own debug and release builds: compiled by .ci/run, times printed.
import CompactNumerics

if CommandLine.arguments.dropFirst().first == "wrong-shape" {
    let layer = try Linear(weight: Matrix(rows: 4, columns: 256))
    _ = layer(Matrix(rows: 1, columns: 255))
}

func report(_ what: String, repeats: Int, _ body: () throws -> Void) rethrows {
    try body()
    let clock = ContinuousClock(), time = try clock.measure { for _ in 0..<repeats { try body() } } / repeats
    let text = "\(time / .microseconds(1))".prefix { $0 != "." }
    print("\(what): \(text) µs")
}

let weight = Matrix(rows: 1024, columns: 1024) { Float(($0 * 31 + $1 * 17) % 64) / 64 - 0.5 }
let input = Matrix(rows: 256, columns: 1024) { Float(($0 * 13 + $1 * 7) % 32) / 16 - 1 }
let dense = try Linear(weight: weight)
let int8 = try QuantizedLinear(dense, scheme: .w8a8), int4 = try QuantizedLinear(dense, scheme: .w4a8)
let sparse = try SparseLinear(dense, sparsity: 0.9)
try report("packing W4A8 1024×1024", repeats: 3) { _ = try QuantizedLinear(dense, scheme: .w4a8) }
report("float32 256×1024×1024", repeats: 20) { _ = dense(input) }
report("W8A8 256×1024×1024", repeats: 20) { _ = int8(input) }
report("W4A8 256×1024×1024", repeats: 20) { _ = int4(input) }
report("CSR, 90 % zeros, 256×1024×1024", repeats: 20) { _ = sparse(input) }
report("transposing 1024×1024", repeats: 10) { _ = weight.transposed() }
try report("FP16, 1 M numbers", repeats: 10) { _ = try HalfLinear(dense, format: .fp16) }
