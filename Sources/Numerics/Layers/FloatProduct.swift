internal import CBLAS

/// Y[M, N] = X[M, K] · W[N, K]ᵀ in float32 by the system's BLAS: sgemv for few rows, sgemm for more.
///
/// sgemm packs the weights for whatever number of rows; sgemv reads them as they are, but once for each row. So few rows are multiplied by blocks of
/// weights that stay in the L2 cache, row after row, by sgemv. Blocks depend on K alone, and threads take whole blocks, so that results are the same
/// bits for any number of threads (one sgemv that OpenBLAS splits among threads gives others).
///
/// Milliseconds of sgemm and of blocks with OpenBLAS 0.3.21 on one core of an Emerald Rapids, kernels for SkylakeX; those for Haswell differ as much:
///
///     K × N         2 rows         3 rows         4 rows         6 rows          8 rows
///     4096 × 4096   8.0    3.5     10.4   5.5      9.4   6.4     11.0   9.8      10.2  11.0
///     1000 × 4096   1.80   0.79    2.16   1.10     1.91  1.26    2.26   1.75     2.05  2.21
///     1000 × 1000   0.44   0.19    0.49   0.23     0.48  0.32    0.61   0.43     0.61  0.48
///     256 × 1000    0.099  0.032   0.120  0.048    0.114 0.069   0.144  0.099    0.144 0.127
///
/// Small products are the exception with AVX512, where OpenBLAS has an sgemm that does not pack: 256×256 takes 5.2 µs instead of 8.5 at 2 rows.
internal struct FloatProduct {
    let rows: Int, inputs: Int, outputs: Int
    let parallelism: Parallelism

    /// Up to so many rows sgemv wins with the kernels that were measured.
    private static let fewRows = 6
    /// Weights of a block: 128 KiB, half of the smallest L2 cache of processors with AVX2.
    private static let blockWeights = 32768

    /// Whether sgemv is the faster one with kernels for a set of instructions, nil for unknown ones.
    internal static func takesVectors(rows m: Int, inputs k: Int, outputs n: Int, set: String?) -> Bool {
        switch set {
        case "avx2": m <= fewRows
        // OpenBLAS' own bounds of its sgemm for small matrices, as measured: 10⁶ multiply-adds and 1,200 outputs.
        case "avx512": m == 1 || m <= fewRows && (m * n > 1200 || m * n * k > 1_000_000)
        default: m == 1
        }
    }

    /// `stride` is that of the rows of Y where they are longer than N; not for a feature-major Y.
    func multiply(
        _ x: UnsafePointer<Float>, layout inputLayout: ActivationLayout = .rowMajor, by w: UnsafePointer<Float>,
        into y: UnsafeMutablePointer<Float>, layout outputLayout: ActivationLayout = .rowMajor, stride: Int? = nil
    ) {
        if Self.takesVectors(rows: rows, inputs: inputs, outputs: outputs, set: BLASLibrary.set) {
            multiplyVectors(x, inputLayout, w, into: y, outputLayout, stride: stride ?? outputs)
        } else {
            BLASLibrary.use(parallelism)
            multiplyMatrices(x, inputLayout, w, into: y, outputLayout, stride: stride ?? outputs)
        }
    }

    private func multiplyVectors(
        _ x: UnsafePointer<Float>, _ inputLayout: ActivationLayout, _ w: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
        _ outputLayout: ActivationLayout, stride: Int
    ) {
        // A library that cannot be told how many threads to use splits a call itself.
        let isOpenBLAS = BLASLibrary.core != nil
        let block = isOpenBLAS ? max(4, Self.blockWeights / max(1, inputs) / 4 * 4) : outputs
        BLASLibrary.use(.serial)
        let parallelism = isOpenBLAS ? parallelism.suited(toMultiplyAdds: rows * inputs * outputs) : .serial
        let parts = parallelism.parts(count: outputs, multiple: block)
        let (rows, inputs, k) = (rows, inputs, Int32(inputs))
        let (xRow, xStep) = inputLayout == .rowMajor ? (inputs, 1) : (1, rows)
        let (yRow, yStep) = outputLayout == .rowMajor ? (stride, 1) : (1, rows)
        nonisolated(unsafe) let (x, w, y) = (x, w, y)
        parallelism.forEachPart(ofStages: [parts.count]) { _, part, _ in
            for first in Swift.stride(from: parts[part].lowerBound, to: parts[part].upperBound, by: block) {
                let count = min(block, parts[part].upperBound - first)
                for row in 0..<rows {
                    cblas_sgemv(
                        CblasRowMajor, CblasNoTrans, Int32(count), k, 1, w + first * inputs, k, x + row * xRow, Int32(xStep), 0,
                        y + row * yRow + first * yStep, Int32(yStep))
                }
            }
        }
    }

    /// sgemm takes X in either layout; where Y shall be [N, M], it multiplies W · Xᵀ.
    private func multiplyMatrices(
        _ x: UnsafePointer<Float>, _ inputLayout: ActivationLayout, _ w: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
        _ outputLayout: ActivationLayout, stride: Int
    ) {
        let (m, k, n) = (Int32(rows), Int32(inputs), Int32(outputs))
        let isFeatureMajor = inputLayout == .featureMajor, xStride = isFeatureMajor ? m : k
        if outputLayout == .rowMajor {
            cblas_sgemm(
                CblasRowMajor, isFeatureMajor ? CblasTrans : CblasNoTrans, CblasTrans, m, n, k, 1, x, xStride, w, k, 0, y, Int32(stride))
        } else {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, isFeatureMajor ? CblasNoTrans : CblasTrans, n, m, k, 1, w, k, x, xStride, 0, y, m)
        }
    }
}
