internal import CompactNumerics

// Elements of tensors as float32, in chunks.
extension SafetensorsFile {
    /// Fills `destination` with the elements of `tensor`, whose type is readable.
    internal func read(_ tensor: TensorDescription, into destination: UnsafeMutableBufferPointer<Float>) throws(ModelFileError) {
        switch tensor.type {
        case .f32: try file.read(into: UnsafeMutableRawBufferPointer(destination), at: dataStart + tensor.offset)
        case .f16: try convert(tensor, into: destination) { (source: Span<FP16>, target) in FP16.widen(source, into: &target) }
        case .bf16: try convert(tensor, into: destination) { (source: Span<BF16>, target) in BF16.widen(source, into: &target) }
        case .f64:
            try convert(tensor, into: destination) { (source: Span<UInt64>, target) in
                for index in 0..<source.count { target[index] = Float(roundingDoubleBits: source[index]) }
            }
        case .i8: try readIntegers(Int8.self, tensor, into: destination)
        case .u8: try readIntegers(UInt8.self, tensor, into: destination)
        case .i16: try readIntegers(Int16.self, tensor, into: destination)
        case .u16: try readIntegers(UInt16.self, tensor, into: destination)
        case .i32: try readIntegers(Int32.self, tensor, into: destination)
        case .u32: try readIntegers(UInt32.self, tensor, into: destination)
        case .i64: try readIntegers(Int64.self, tensor, into: destination)
        case .u64: try readIntegers(UInt64.self, tensor, into: destination)
        case .bool: try readBooleans(tensor, into: destination)
        case .f8e4m3, .f8e5m2, .f8e4m3fnuz, .f8e5m2fnuz, .f8e8m0:
            let table = EightBitFloat.table(tensor.type)
            try convert(tensor, into: destination) { (source: Span<UInt8>, target) in
                for index in 0..<source.count { target[index] = table[Int(source[index])] }
            }
        case .c64, .f4, .f6e2m3, .f6e3m2: trap("read of \(tensor.type.rawValue): expected a readable type")
        }
    }

    internal func changedCount(of tensor: TensorDescription) throws(ModelFileError) -> Int {
        switch tensor.type {
        case .f64:
            try count(tensor) { (bits: UInt64) in
                let value = Double(bitPattern: bits)
                return !value.isNaN && Double(Float(roundingDoubleBits: bits)) != value
            }
        case .i32: try count(tensor) { (value: Int32) in Float(exactly: value) == nil }
        case .u32: try count(tensor) { (value: UInt32) in Float(exactly: value) == nil }
        case .i64: try count(tensor) { (value: Int64) in Float(exactly: value) == nil }
        case .u64: try count(tensor) { (value: UInt64) in Float(exactly: value) == nil }
        default: 0
        }
    }

    private func readIntegers<Stored: BinaryInteger & BitwiseCopyable>(
        _: Stored.Type, _ tensor: TensorDescription, into destination: UnsafeMutableBufferPointer<Float>
    ) throws(ModelFileError) {
        try convert(tensor, into: destination) { (source: Span<Stored>, target) in
            for index in 0..<source.count { target[index] = Float(source[index]) }
        }
    }

    private func readBooleans(_ tensor: TensorDescription, into destination: UnsafeMutableBufferPointer<Float>) throws(ModelFileError) {
        try forEachChunk(of: tensor) { (source: Span<UInt8>, start) throws(ModelFileError) in
            for index in 0..<source.count {
                guard source[index] <= 1 else {
                    throw ModelFileError(
                        .malformed, path: path, what: "element \(start + index) of tensor \(tensor.name.quoted)", expected: "0 or 1 for BOOL",
                        found: "\(source[index])")
                }
                destination[start + index] = Float(source[index])
            }
        }
    }

    private func convert<Stored: BitwiseCopyable>(
        _ tensor: TensorDescription, into destination: UnsafeMutableBufferPointer<Float>,
        _ body: (Span<Stored>, inout MutableSpan<Float>) -> Void
    ) throws(ModelFileError) {
        try forEachChunk(of: tensor) { (source: Span<Stored>, start) throws(ModelFileError) in
            var target = UnsafeMutableBufferPointer(rebasing: destination[start..<start + source.count]).mutableSpan
            body(source, &target)
        }
    }

    private func count<Stored: BitwiseCopyable>(_ tensor: TensorDescription, where body: (Stored) -> Bool) throws(ModelFileError) -> Int {
        var total = 0
        try forEachChunk(of: tensor) { (source: Span<Stored>, _) throws(ModelFileError) in
            for index in 0..<source.count where body(source[index]) { total += 1 }
        }
        return total
    }

    /// Reads elements as `Stored` into a scratch buffer, which is aligned whatever the file is. `body` gets the number of the first as well.
    private func forEachChunk<Stored: BitwiseCopyable>(
        of tensor: TensorDescription, _ body: (Span<Stored>, Int) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        let total = tensor.count
        var scratch = AlignedBuffer<Stored>(count: min(total, 1 << 16))
        var done = 0
        while done < total {
            let count = min(scratch.count, total - done)
            let offset = dataStart + tensor.offset + done * MemoryLayout<Stored>.stride
            try scratch.withUnsafeMutableBufferPointer { (buffer) throws(ModelFileError) in
                try file.read(into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count])), at: offset)
            }
            try body(scratch.span.extracting(0..<count), done)
            done += count
        }
    }
}

extension Float {
    /// float64 rounded to float32: to nearest, ties to even, beyond the range to infinity; subnormals are kept, a NaN becomes quiet and keeps
    /// its sign and top payload bits. In integers, so that the rounding mode and flush flags of the processor do not matter.
    internal init(roundingDoubleBits bits: UInt64) {
        let sign = UInt32(truncatingIfNeeded: bits >> 32) & 0x8000_0000
        let magnitude = bits & 0x7FFF_FFFF_FFFF_FFFF
        guard magnitude <= 0x7FF0_0000_0000_0000 else {
            self.init(bitPattern: sign | 0x7FC0_0000 | UInt32(truncatingIfNeeded: magnitude >> 29) & 0x7F_FFFF)
            return
        }
        // The exponent's bias shrinks from 1023 to 127, the fraction from 52 bits to 23.
        let exponent = Int(magnitude >> 52) - (1023 - 127)
        let (significand, shift) =
            exponent >= 1
            ? (magnitude - (1023 - 127) << 52, 29) : (magnitude & 0xF_FFFF_FFFF_FFFF | 1 << 52, 29 + 1 - exponent)
        // A significand has 53 bits: shifted by 54 it is less than half of the smallest subnormal.
        guard shift < 54 else {
            self.init(bitPattern: sign)
            return
        }
        let half: UInt64 = 1 << (shift - 1)
        // A carry runs from the fraction into the exponent, as it should.
        let rounded = (significand + half - 1 + significand >> shift & 1) >> shift
        self.init(bitPattern: sign | UInt32(min(rounded, 0x7F80_0000)))
    }
}
