internal import CKernels

/// Weights [N, K] packed for a kernel, and the configuration that they were packed for: what every dense format but float32 is made of. Sizes, layouts
/// and scratch memory are what the configuration says; nothing here knows a panel's width.
internal struct PackedWeights: Sendable {
    nonisolated(unsafe) let config: UnsafePointer<ck_gemm_config>
    let inputs: Int
    let outputs: Int
    let group: Int
    private let memory: PackedMemory
    // Pointers into the memory.
    nonisolated(unsafe) private let weights: ck_gemm_weights

    /// Packs `codes` [N, K], int8 or bit patterns of 16-bit floats, `multipliers` [N, groups] where there are groups, and `scales` [N] where the format has
    /// any.
    init(
        _ config: UnsafePointer<ck_gemm_config>, codes: UnsafeRawPointer, multipliers: UnsafePointer<Int8>?, scales: UnsafePointer<Float>?,
        inputs: Int, outputs: Int, group: Int
    ) {
        (self.config, self.inputs, self.outputs, self.group) = (config, inputs, outputs, group)
        var shape = ck_gemm_shape(inputs: inputs, outputs: outputs, group: group)
        let sizes = config.pointee.sizes(&shape)
        let needsPairs = config.pointee.needs & UInt32(ck_gemm_needs_unsafe_pairs) != 0
        let pairs = needsPairs ? ck_gemm_list_unsafe(inputs, outputs, codes.assumingMemoryBound(to: Int8.self), nil, nil) : 0
        let starts = needsPairs ? ck_gemm_unsafe_start_count(inputs, outputs) : 0
        var measure = Carver(nil)
        _ = Arrays(sizes, starts: starts, pairs: pairs, from: &measure)
        memory = PackedMemory(byteCount: measure.byteCount)
        var carver = Carver(memory.base)
        let arrays = Arrays(sizes, starts: starts, pairs: pairs, from: &carver)
        if sizes.scales > 0, let scales { arrays.scales!.update(from: scales, count: outputs) }
        if needsPairs { ck_gemm_list_unsafe(inputs, outputs, codes.assumingMemoryBound(to: Int8.self), arrays.starts, arrays.units) }
        var packed = ck_gemm_arrays(codes: arrays.codes!, multipliers: arrays.multipliers, sums: arrays.sums)
        config.pointee.pack_weights(&shape, codes, multipliers, 0, Self.panels(outputs: outputs, config), &packed)
        weights = ck_gemm_weights(
            inputs: inputs, outputs: outputs, group: group, codes: arrays.codes!, multipliers: group == 0 ? nil : UnsafePointer(arrays.multipliers),
            sums: arrays.sums, scales: arrays.scales, unsafe_starts: needsPairs ? UnsafePointer(arrays.starts) : nil,
            unsafe_units: needsPairs ? UnsafePointer(arrays.units) : nil)
    }

    /// Where the arrays lie in one piece of memory.
    private struct Arrays {
        let codes: UnsafeMutablePointer<UInt8>?
        let multipliers: UnsafeMutablePointer<Int8>?
        let sums: UnsafeMutablePointer<Int32>?
        let scales: UnsafeMutablePointer<Float>?
        let starts: UnsafeMutablePointer<UInt32>?
        let units: UnsafeMutablePointer<UInt8>?

        init(_ sizes: ck_gemm_sizes, starts: Int, pairs: Int, from carver: inout Carver) {
            codes = carver.take(UInt8.self, sizes.code_bytes)
            multipliers = carver.take(Int8.self, sizes.multipliers)
            sums = carver.take(Int32.self, sizes.sums)
            scales = carver.take(Float.self, sizes.scales)
            self.starts = carver.take(UInt32.self, starts)
            units = carver.take(UInt8.self, pairs)
        }
    }

    /// Bytes that weights of this shape take at most: of 8-bit weights about half of all pairs can be listed as unsafe, in a byte and more each.
    static func mostBytes(_ config: UnsafePointer<ck_gemm_config>, inputs: Int, outputs: Int, group: Int) -> Int {
        var shape = ck_gemm_shape(inputs: inputs, outputs: outputs, group: group)
        let sizes = config.pointee.sizes(&shape)
        let listsPairs = config.pointee.needs & UInt32(ck_gemm_needs_unsafe_pairs) != 0
        return sizes.code_bytes + sizes.multipliers + 4 * (sizes.sums + sizes.scales) + (listsPairs ? sizes.code_bytes : 0)
    }

    /// Bytes really held, padding included.
    var byteCount: Int { memory.byteCount }

    /// The scale of output `n`.
    func scale(_ n: Int) -> Float { weights.scales![n] }

    /// Codes or bit patterns of output `n`, K of them, and its multipliers, one for each group.
    func unpack(row n: Int, codes: UnsafeMutableRawPointer, multipliers: UnsafeMutablePointer<Int8>?) {
        withCStruct { config.pointee.unpack_row($0, n, codes, multipliers) }
    }

    var panels: Int { Self.panels(outputs: outputs, config) }

    private static func panels(outputs: Int, _ config: UnsafePointer<ck_gemm_config>) -> Int {
        roundUp(outputs, toMultipleOf: config.pointee.n_step) / config.pointee.n_step
    }

    func withCStruct<Result>(_ body: (UnsafePointer<ck_gemm_weights>) -> Result) -> Result {
        withExtendedLifetime(memory) { withUnsafePointer(to: weights, body) }
    }
}

internal func roundUp(_ value: Int, toMultipleOf multiple: Int) -> Int {
    (value + multiple - 1) / multiple * multiple
}
