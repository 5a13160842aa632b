import CompactNumerics
import Foundation
@testable import ModelFiles
import Testing

/// An IDX file of unsigned bytes, unless another type is given.
func idx(_ sizes: [UInt32], type: UInt8 = 0x08, _ data: [UInt8]) -> [UInt8] {
    [0, 0, type, UInt8(sizes.count)] + sizes.flatMap { withUnsafeBytes(of: $0.bigEndian) { Array($0) } } + data
}

/// A gzip file (RFC 1952) with stored blocks (RFC 1951, 3.2.4), so that the tests need no compressor.
func gzip(_ data: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
    var rest = data[...]
    repeat {
        let block = rest.prefix(0xFFFF)
        rest = rest.dropFirst(block.count)
        let length = UInt16(block.count)
        bytes += [rest.isEmpty ? 1 : 0]
        for value in [length, ~length] { bytes += [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)] }
        bytes += block
    } while !rest.isEmpty
    var crc: UInt32 = .max
    for byte in data {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    for value in [~crc, UInt32(data.count)] { bytes += withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    return bytes
}

@Suite struct IDXTests {
    private static let small = idx([2, 2, 3], [0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6])

    @Test(arguments: [small, gzip(small)])
    func readsPlainAndCompressed(bytes: [UInt8]) throws {
        try withFile(bytes) { path in
            let file = try IDXFile(path: path)
            #expect(file.shape == [2, 2, 3])
            #expect(file.elementType == .u8)
            #expect(file.count == 12)
            #expect(file.bytes == Array(Self.small.suffix(12)))
            let images = try file.images()
            #expect(images.rows == 2 && images.columns == 6)
            #expect(images[0, 5] == 1 && images[0, 1] == 51 / 255 && images[1, 0] == 1 / 255)
            let error = try #require(throws: ModelFileError.self) { try file.labels() }
            expectGoodMessage(error, path: path)
        }
    }

    @Test func readsMoreThanOneStep() throws {
        let data = (0..<1_200_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        for bytes in [idx([1200, 1000], data), gzip(idx([1200, 1000], data))] {
            try withFile(bytes) { path in
                let file = try IDXFile(path: path)
                #expect(file.bytes == data)
            }
        }
    }

    /// A header may promise anything: memory grows with what arrives.
    @Test(arguments: [1 << 20, 1 << 31, 1 << 50, .max]) func memoryGrowsWithWhatArrives(promised: Int) throws {
        for arriving in [0, 1, 100_000, 3_000_000] {
            var rest = arriving
            let bytes = try IDXFile.next(promised) { (buffer) throws(ModelFileError) in
                let count = min(buffer.count, rest)
                for index in 0..<count { buffer[index] = UInt8(truncatingIfNeeded: arriving - rest + index) }
                rest -= count
                return count
            }
            #expect(bytes.count == min(promised, arriving) && bytes.capacity <= 2 << 20 + 2 * arriving)
            #expect(bytes.indices.allSatisfy { bytes[$0] == UInt8(truncatingIfNeeded: $0) })
        }
    }

    @Test func convertsEveryElementType() throws {
        let cases: [(UInt8, [UInt8], [Float])] = [
            (0x08, [0, 255], [0, 255]),
            (0x09, [0x80, 0x7F], [-128, 127]),
            (0x0B, [0xFF, 0xFE, 0x01, 0x00], [-2, 256]),
            (0x0C, [0xFF, 0xFF, 0xFF, 0xFF, 0, 1, 0, 0], [-1, 65536]),
            (0x0D, [0x3F, 0x80, 0, 0, 0xC0, 0, 0, 0], [1, -2]),
            (0x0E, [0x3F, 0xF0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0], [1, -2]),
        ]
        #expect(cases.count == IDXFile.ElementType.allCases.count)
        for (type, data, expected) in cases {
            try withFile(idx([2], type: type, data)) { path in
                let file = try IDXFile(path: path)
                #expect(file.floats == expected)
            }
        }
    }

    @Test func sizesOfZero() throws {
        for sizes in [[0], [0, 28, 28], [0, .max, .max], [5, 0]] as [[UInt32]] {
            try withFile(idx(sizes, [])) { path in
                let file = try IDXFile(path: path)
                #expect(file.count == 0)
                if sizes.count > 1 { #expect(try file.images().rows == Int(sizes[0])) }
            }
        }
        try withFile(idx([3], [7, 8, 9])) { path in
            let file = try IDXFile(path: path)
            #expect(try file.labels() == [7, 8, 9])
        }
    }

    @Test(
        arguments: [
            ([], "an empty file"), ([0, 0, 8], "0, 0, 8"), (Array("PK\u{3}\u{4}...".utf8), "80, 75, 3, 4"),
            ([0, 0, 0x0A, 1, 0, 0, 0, 0], "0, 0, 10, 1"),
            ([0, 0, 8, 0, 1], "0, 0, 8, 0"), (idx([1], [5]) + [0], "more bytes"), ([0, 0, 8, 255, 1, 1, 1, 1], "4 bytes"),
            // 2³²−1 bytes promised, none there; then a product that no Int can hold.
            (idx([.max], []), "holds at most 8"), (idx([.max, .max], [1]), "Int"), (idx([.max, .max, .max], [1]), "Int"),
            (gzip(idx([1], [5]) + [0]), "more bytes"), (gzip(idx([.max], [1])), "holds at most"), (gzip([1, 2, 3, 4, 5]), "1, 2, 3, 4"),
            (gzip(idx([30000], [1, 2])), "found 2"), ([0x1F, 0x8B], "found"), ([0x1F, 0x8B, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], "found"),
        ] as [([UInt8], String)])
    func refuses(bytes: [UInt8], word: String) throws {
        try withFile(bytes) { path in
            let error = try #require(throws: ModelFileError.self) { try IDXFile(path: path) }
            expectGoodMessage(error, path: path)
            #expect(error.description.contains(word) || error.description.contains("at most \(Int.max)"), "\(error)")
        }
    }

    @Test func refusesEveryTruncation() throws {
        for whole in [Self.small, gzip(Self.small)] {
            for length in 0..<whole.count {
                try withFile(Array(whole.prefix(length))) { path in
                    let error = #expect(throws: ModelFileError.self, "first \(length) bytes") { try IDXFile(path: path) }
                    if let error { expectGoodMessage(error, path: path) }
                }
            }
        }
    }

    @Test func refusesAWrongChecksum() throws {
        var bytes = gzip(Self.small)
        bytes[bytes.count - 6] ^= 1
        try withFile(bytes) { path in
            let error = try #require(throws: ModelFileError.self) { try IDXFile(path: path) }
            #expect(error.kind == .malformed)
        }
    }

    @Test func survivesRandomChanges() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("IDXTests.survivesRandomChanges: seed \(seed)")
        var random = SplitMix64(state: seed)
        try withTemporaryFolder { folder in
            let path = "\(folder)/file"
            for whole in [Self.small, gzip(Self.small)] {
                for _ in 0..<1000 {
                    var bytes = whole
                    for _ in 0..<Int.random(in: 1...3, using: &random) {
                        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                    }
                    try Data(bytes).write(to: URL(fileURLWithPath: path))
                    do throws(ModelFileError) {
                        let file = try IDXFile(path: path)
                        #expect(file.floats.count == file.shape.reduce(1, *), "seed \(seed)")
                    } catch {
                        expectGoodMessage(error, path: path)
                    }
                }
            }
        }
    }
}

@Suite struct FashionMNISTTests {
    private static let isInstalled = FashionMNIST.standardDirectories.contains {
        FileManager.default.fileExists(atPath: "\($0)/t10k-images-idx3-ubyte.gz")
    }

    @Test(.enabled(if: isInstalled, "Debian's package dataset-fashion-mnist is not installed"))
    func loadsTheTestImages() throws {
        let data = try FashionMNIST(.test)
        #expect(data.images.rows == 10_000 && data.images.columns == 784)
        // The classes are balanced: 1,000 images of each.
        #expect(Set(data.labels.map { label in data.labels.count { $0 == label } }) == [1000])
        #expect(Set(data.labels).count == FashionMNIST.classNames.count)
        let (low, high) = data.images.withUnsafeBufferPointer { ($0.min(), $0.max()) }
        #expect(low == 0 && high == 1)
    }

    @Test func namesThePackageWhenFilesAreAbsent() throws {
        try withTemporaryFolder { folder in
            let error = try #require(throws: ModelFileError.self) { try FashionMNIST(.training, from: folder) }
            #expect(error.description.contains("dataset-fashion-mnist"))
            expectGoodMessage(error, path: "\(folder)/train-images-idx3-ubyte.gz")
        }
    }

    @Test func refusesOtherShapesAndLabels() throws {
        let images = idx([2, 28, 28], [UInt8](repeating: 9, count: 2 * 784))
        let pairs: [(images: [UInt8], labels: [UInt8], isSound: Bool)] = [
            (images, idx([2], [0, 9]), true), (images, idx([3], [0, 1, 2]), false), (images, idx([2], [0, 10]), false),
            (idx([2, 14, 14], [UInt8](repeating: 9, count: 2 * 196)), idx([2], [0, 9]), false), (idx([2], [1, 2]), idx([2], [0, 9]), false),
        ]
        for (images, labels, isSound) in pairs {
            try withTemporaryFolder { folder in
                try Data(images).write(to: URL(fileURLWithPath: "\(folder)/t10k-images-idx3-ubyte"))
                try Data(labels).write(to: URL(fileURLWithPath: "\(folder)/t10k-labels-idx1-ubyte"))
                if isSound {
                    #expect(try FashionMNIST(.test, from: folder).labels == [0, 9])
                } else {
                    #expect(throws: ModelFileError.self) { try FashionMNIST(.test, from: folder) }
                }
            }
        }
    }
}
