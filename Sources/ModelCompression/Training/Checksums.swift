internal import CTraining
internal import CompactNumerics

/// FNV-1a with 64 bits (Fowler, Noll and Vo; RFC 9923), by pieces: tells one thing from another, not friend from foe.
internal struct Checksum {
    private var hash: UInt64 = 0xCBF2_9CE4_8422_2325

    /// Text, ended by a zero.
    mutating func add(_ text: String) { add(Array(text.utf8) + [0]) }

    mutating func add(_ bytes: [UInt8]) { hash = ck_fnv1a_64(bytes, bytes.count, hash) }

    mutating func add(_ values: UnsafePointer<Float>, count: Int) {
        hash = ck_fnv1a_64(values, count * MemoryLayout<Float>.stride, hash)
    }

    var text: String { String(hash, radix: 16) }
}

extension LabelledData {
    /// Of samples and labels, so that a run does not go on with others.
    internal var checksum: String {
        var sum = Checksum()
        sum.add("\(shape) \(classes) \(count)")
        inputs.withUnsafeBufferPointer { if let first = $0.baseAddress { sum.add(first, count: $0.count) } }
        sum.add(labels.flatMap { label in withUnsafeBytes(of: UInt32(truncatingIfNeeded: label).littleEndian) { Array($0) } })
        return sum.text
    }
}

extension TrainableNetwork {
    /// Of parameters, masks and running statistics.
    internal var checksum: String {
        var sum = Checksum()
        for parameter in parameters {
            sum.add(parameter.name)
            sum.add(parameter.value.pointer, count: parameter.value.count)
            sum.add(parameter.mask ?? [])
        }
        for (name, values) in layers.flatMap(\.statistics) {
            sum.add(name)
            sum.add(values.pointer, count: values.count)
        }
        return sum.text
    }
}
