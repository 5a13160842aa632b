internal import CKernels

/// Weights W[N, K] of 16-bit floats, FP16 or BF16, packed once into the layout that the kernels read: half of float32's bytes.
public struct HalfMatrix: Sendable {
    /// The number format of the weights.
    public enum Format: String, Sendable, Hashable, CaseIterable {
        case fp16 = "f16"
        case bf16 = "bf16"
    }

    /// Outputs, N.
    public let rows: Int
    /// Inputs, K.
    public let columns: Int
    public let format: Format
    private let storage: PackedHalves

    /// Rounds `weight` [N, K] to nearest, ties to even, and packs it. Infinities and NaNs stay what they are.
    public init(_ weight: Matrix, format: Format) {
        rows = weight.rows
        columns = weight.columns
        self.format = format
        let patterns = AlignedBuffer<UInt16>(unfilledCount: weight.count)
        let packed = AlignedBuffer<UInt16>(count: ck_half_value_count(columns, rows))
        let kernels = ck_active_kernels().pointee
        weight.withUnsafeBufferPointer { elements in
            guard let start = elements.baseAddress else { return }
            (format == .fp16 ? kernels.round_f16_f32 : kernels.round_bf16_f32)(start, patterns.baseAddress, elements.count)
        }
        ck_half_pack(columns, rows, patterns.baseAddress, 0, Self.panels(rows), packed.baseAddress)
        storage = PackedHalves(packed)
    }

    /// Bytes really held, padding included.
    public var byteCount: Int { storage.values.byteCount }

    /// The weights as float32, [N, K].
    public func widened() -> Matrix {
        let kernels = ck_active_kernels().pointee
        let widen = format == .fp16 ? kernels.widen_f32_f16 : kernels.widen_f32_bf16
        let patterns = AlignedBuffer<UInt16>(unfilledCount: columns)
        return withCStruct { weights in
            Matrix(rows: rows, columns: columns) { destination in
                guard let start = destination.baseAddress else { return }
                for n in 0..<rows {
                    ck_half_unpack_row(weights, n, patterns.baseAddress)
                    widen(patterns.baseAddress, start + n * columns, columns)
                }
            }
        }
    }

    /// Y[M, N] = relu(X[M, K] · Wᵀ + bias), row-major without gaps.
    package func multiply(
        _ x: UnsafePointer<Float>, rows m: Int, into y: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?, relu: Bool,
        workspace: inout Workspace, parallelism: Parallelism
    ) {
        let parallelism = parallelism.suited(toMultiplyAdds: m * rows * columns)
        let threadBytes = roundUp(ck_gemm_workspace_bytes(columns), toMultipleOf: 64)
        nonisolated(unsafe) let scratch = workspace.reserve(byteCount: threadBytes * parallelism.threads)
        nonisolated(unsafe) let x = x
        nonisolated(unsafe) let target = ck_gemm_output(
            type: ck_output_f32, data: y, stride: rows, bias: bias, relu: relu ? 1 : 0, inverse_scale: 0, zero_point: 0)
        let kernels = ck_active_kernels().pointee
        let kernel = format == .fp16 ? kernels.gemm_f32_f16 : kernels.gemm_f32_bf16
        let columns = columns
        withCStruct { weights in
            nonisolated(unsafe) let weights = weights
            let tiles = QuantizedMatrix.tiles(rows: m, panels: Self.panels(rows), parallelism: parallelism)
            parallelism.forEachPart(ofStages: [tiles.count]) { _, part, thread in
                let (rows, panels) = tiles[part]
                withUnsafePointer(to: target) { y in
                    kernel(
                        weights, x, m, columns, y, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound,
                        scratch + thread * threadBytes)
                }
            }
        }
    }

    private static func panels(_ rows: Int) -> Int {
        roundUp(rows, toMultipleOf: ck_panel) / ck_panel
    }

    private func withCStruct<Result>(_ body: (UnsafePointer<ck_half_weights>) -> Result) -> Result {
        var weights = ck_half_weights(inputs: columns, outputs: rows, values: storage.values.baseAddress)
        return withUnsafePointer(to: &weights, body)
    }
}

/// The array of `ck_half_weights`, immutable after packing.
private final class PackedHalves: Sendable {
    let values: AlignedBuffer<UInt16>

    init(_ values: consuming AlignedBuffer<UInt16>) {
        self.values = values
    }
}
