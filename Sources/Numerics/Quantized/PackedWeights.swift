internal import CKernels

/// Weights [N, K] packed for a kernel, and the configuration that they were packed for: what every dense format but float32 is made of. Sizes, layouts
/// and scratch memory are what the configuration says; nothing here knows a panel's width.
internal struct PackedWeights: Sendable {
    nonisolated(unsafe) let config: UnsafePointer<ck_gemm_config>
    let inputs: Int
    let outputs: Int
    let group: Int
    private let memory: PackedMemory
    // The list of pairs that could saturate, whose length is known when all codes are.
    private let pairs: PackedMemory?
    // Pointers into both.
    nonisolated(unsafe) private let weights: ck_gemm_weights

    /// Packs `codes` [N, K], int8 or bit patterns of 16-bit floats, `multipliers` [N, groups] where there are groups, and `scales` [N] where the format has
    /// any.
    init(
        _ config: UnsafePointer<ck_gemm_config>, codes: UnsafeRawPointer, multipliers: UnsafePointer<Int8>?, scales: UnsafePointer<Float>?,
        inputs: Int, outputs: Int, group: Int
    ) {
        let rowBytes = inputs * (config.pointee.bits == 16 ? 2 : 1), groups = group == 0 ? 0 : (inputs + group - 1) / group
        self.init(config, inputs: inputs, outputs: outputs, group: group) { rows, placed in
            if let placed, let scales { placed.update(from: scales + rows.lowerBound, count: rows.count) }
            return (codes + rows.lowerBound * rowBytes, multipliers.map { $0 + rows.lowerBound * groups })
        }
    }

    /// Packs panel by panel: `panel` gives codes [rows, K] and multipliers [rows, groups] of some outputs, valid until it is called again, and writes their
    /// scales where the format has any. So that codes of the whole matrix need not be there, and those of a panel are packed while they are in the cache.
    init<Failure: Error>(
        _ config: UnsafePointer<ck_gemm_config>, inputs: Int, outputs: Int, group: Int,
        panel: (_ rows: Range<Int>, _ scales: UnsafeMutablePointer<Float>?) throws(Failure) -> (UnsafeRawPointer, UnsafePointer<Int8>?)
    ) throws(Failure) {
        (self.config, self.inputs, self.outputs, self.group) = (config, inputs, outputs, group)
        var shape = ck_gemm_shape(inputs: inputs, outputs: outputs, group: group)
        let sizes = config.pointee.sizes(&shape), step = config.pointee.n_step
        var measure = Carver(nil)
        _ = Arrays(sizes, from: &measure)
        memory = PackedMemory(byteCount: measure.byteCount)
        var carver = Carver(memory.base)
        let arrays = Arrays(sizes, from: &carver)
        var packed = ck_gemm_arrays(codes: arrays.codes!, multipliers: arrays.multipliers, sums: arrays.sums)
        var list = config.pointee.needs & UInt32(ck_gemm_needs_unsafe_pairs) == 0 ? nil : UnsafePairs(inputs: inputs, outputs: outputs)
        for number in 0..<Self.panels(outputs: outputs, config) {
            let rows = number * step..<min(outputs, (number + 1) * step)
            let (codes, multipliers) = try panel(rows, sizes.scales == 0 ? nil : arrays.scales! + rows.lowerBound)
            config.pointee.pack_weights(&shape, codes, multipliers, number, number + 1, &packed)
            list?.append(codes.assumingMemoryBound(to: Int8.self), outputs: rows.count)
        }
        let pairs = list?.packed()
        self.pairs = pairs?.memory
        weights = ck_gemm_weights(
            inputs: inputs, outputs: outputs, group: group, codes: arrays.codes!, multipliers: group == 0 ? nil : UnsafePointer(arrays.multipliers),
            sums: arrays.sums, scales: arrays.scales, unsafe_starts: pairs?.starts, unsafe_units: pairs?.units)
    }

    /// Where the arrays lie in one piece of memory.
    private struct Arrays {
        let codes: UnsafeMutablePointer<UInt8>?
        let multipliers: UnsafeMutablePointer<Int8>?
        let sums: UnsafeMutablePointer<Int32>?
        let scales: UnsafeMutablePointer<Float>?

        init(_ sizes: ck_gemm_sizes, from carver: inout Carver) {
            codes = carver.take(UInt8.self, sizes.code_bytes)
            multipliers = carver.take(Int8.self, sizes.multipliers)
            sums = carver.take(Int32.self, sizes.sums)
            scales = carver.take(Float.self, sizes.scales)
        }
    }

    /// The lists of ck_gemm_list_unsafe, grown panel by panel.
    private struct UnsafePairs {
        private let inputs: Int
        private var starts: [UInt32]
        private var units: [UInt8] = []

        init(inputs: Int, outputs: Int) {
            self.inputs = inputs
            starts = [0]
            starts.reserveCapacity(ck_gemm_unsafe_start_count(inputs, outputs))
        }

        mutating func append(_ codes: UnsafePointer<Int8>, outputs: Int) {
            let base = UInt32(units.count), count = ck_gemm_unsafe_start_count(inputs, outputs)
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { here in
                withUnsafeTemporaryAllocation(of: UInt8.self, capacity: outputs * ((inputs + 3) / 4)) { listed in
                    let found = ck_gemm_list_unsafe(inputs, outputs, codes, here.baseAddress, listed.baseAddress)
                    units.append(contentsOf: listed[..<found])
                    starts.removeLast()
                    starts.append(contentsOf: here.lazy.map { $0 + base })
                }
            }
        }

        func packed() -> (memory: PackedMemory, starts: UnsafePointer<UInt32>, units: UnsafePointer<UInt8>) {
            func place(_ carver: inout Carver) -> (UnsafeMutablePointer<UInt32>?, UnsafeMutablePointer<UInt8>?) {
                (carver.take(UInt32.self, starts.count), carver.take(UInt8.self, units.count))
            }
            var measure = Carver(nil)
            _ = place(&measure)
            let memory = PackedMemory(byteCount: measure.byteCount)
            var carver = Carver(memory.base)
            let (placedStarts, placedUnits) = place(&carver)
            placedStarts!.update(from: starts, count: starts.count)
            placedUnits!.update(from: units, count: units.count)
            return (memory, UnsafePointer(placedStarts!), UnsafePointer(placedUnits!))
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
    var byteCount: Int { memory.byteCount + (pairs?.byteCount ?? 0) }

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
        withExtendedLifetime((memory, pairs)) { withUnsafePointer(to: weights, body) }
    }
}

internal func roundUp(_ value: Int, toMultipleOf multiple: Int) -> Int {
    (value + multiple - 1) / multiple * multiple
}
