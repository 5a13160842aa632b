internal import CBLAS
internal import CTraining

/// Cholesky factors and inverses by LAPACK, of symmetric matrices of which the upper triangle counts (row-major).
internal enum InverseHessian {
    /// The inverse in place.
    static func invert(_ matrix: inout [Double], columns: Int, layer: String) throws(CompressionError) {
        try factor(&matrix, columns: columns, layer: layer)
        try check(lapack(&matrix, columns, potri), layer)
    }

    /// U with UᵀU = matrix, in place; below the diagonal nothing counts.
    static func factor(_ matrix: inout [Double], columns: Int, layer: String) throws(CompressionError) {
        try check(lapack(&matrix, columns, potrf), layer)
    }

    /// Prunes `weight` by `mask` and corrects what stays, with the inverse Hessian of the layer's inputs.
    static func correct(_ weight: Tensor, mask: [UInt8], inverse: [Double], layer: String) throws(CompressionError) {
        var factor = inverse
        try Self.factor(&factor, columns: weight.columns, layer: layer)
        withUnsafeTemporaryAllocation(of: Double.self, capacity: weight.columns) {
            ck_prune_and_correct_f32(weight.pointer, mask, weight.rows, weight.columns, factor, $0.baseAddress!)
        }
    }

    private static func check(_ info: Int, _ layer: String) throws(CompressionError) {
        guard info == 0 else {
            throw .outOfRange(what: "Hessian of layer \(layer)", allowed: "a positive definite matrix", found: "LAPACK's result \(info)")
        }
    }

    // The upper triangle of a row-major matrix is the lower one that LAPACK sees. Accelerate has LAPACK's own functions, no LAPACKE.
    #if canImport(Darwin)
        private typealias Routine = (UnsafeMutablePointer<Double>, Int) -> Int
        private static func potrf(_ a: UnsafeMutablePointer<Double>, _ n: Int) -> Int {
            var (uplo, size, stride, info) = (CChar(76), Int32(n), Int32(n), Int32(0))
            dpotrf_(&uplo, &size, a, &stride, &info)
            return Int(info)
        }
        private static func potri(_ a: UnsafeMutablePointer<Double>, _ n: Int) -> Int {
            var (uplo, size, stride, info) = (CChar(76), Int32(n), Int32(n), Int32(0))
            dpotri_(&uplo, &size, a, &stride, &info)
            return Int(info)
        }
    #else
        private typealias Routine = (UnsafeMutablePointer<Double>, Int) -> Int
        private static func potrf(_ a: UnsafeMutablePointer<Double>, _ n: Int) -> Int {
            Int(LAPACKE_dpotrf(LAPACK_COL_MAJOR, CChar(76), Int32(n), a, Int32(n)))
        }
        private static func potri(_ a: UnsafeMutablePointer<Double>, _ n: Int) -> Int {
            Int(LAPACKE_dpotri(LAPACK_COL_MAJOR, CChar(76), Int32(n), a, Int32(n)))
        }
    #endif

    private static func lapack(_ matrix: inout [Double], _ columns: Int, _ routine: Routine) -> Int {
        matrix.withUnsafeMutableBufferPointer { routine($0.baseAddress!, columns) }
    }
}
