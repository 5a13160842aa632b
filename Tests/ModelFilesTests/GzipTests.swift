import CompactNumerics
import Foundation
@testable import ModelFiles
import Testing

/// Where a gzip stream ends, and what happens without zlib.
@Suite struct GzipTests {
    private static let whole = idx([2, 2, 3], [0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6])

    /// Garbage that is none of a member, a part of one, a member whose checksum is wrong, zeros as tapes have them.
    private static let garbage: [[UInt8]] = {
        var wrong = gzip([])
        wrong[wrong.count - 8] ^= 1
        return [
            [0], [0x1F], [0x1F, 0x8B], [0x1F, 0x8B, 8], Array("garbage".utf8), wrong, Array(gzip([]).dropLast()), [UInt8](repeating: 0, count: 512),
            gzip([1]),
        ]
    }()

    @Test(arguments: garbage)
    func whatStandsBehindAStreamIsAnError(garbage: [UInt8]) throws {
        // Behind one member, behind two, and behind as much as one read of the file takes.
        let large = idx([100_000], (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
        for sound in [gzip(Self.whole), gzip(Array(Self.whole.prefix(9))) + gzip(Array(Self.whole.dropFirst(9))), gzip(large)] {
            try withFile(sound) { (path) throws in #expect(throws: Never.self) { try IDXFile(path: path) } }
            try withFile(sound + garbage) { path in
                let error = try #require(throws: ModelFileError.self) { try IDXFile(path: path) }
                #expect([.malformed, .truncated].contains(error.kind))
                expectGoodMessage(error, path: path)
            }
        }
    }

    /// RFC 1952, 2.2: a file is a series of members, whose contents follow each other. Cut anywhere, with empty ones between.
    @Test func membersFollowEachOther() throws {
        for cut in 0...Self.whole.count {
            let parts = [[], Array(Self.whole.prefix(cut)), [], Array(Self.whole.dropFirst(cut)), []] as [[UInt8]]
            try withFile(parts.flatMap(gzip)) { (path) throws in
                #expect(try IDXFile(path: path).bytes == Array(Self.whole.dropFirst(16)))
            }
        }
    }

    @Test func withoutZlibErrorsNameIt() throws {
        #expect(ZlibLibrary.isAvailable && Deflate.isAvailable, "the tests need zlib")
        let bytes = [UInt8](repeating: 7, count: 1000)
        let stream = try #require(Deflate.compressed(bytes))
        #expect(try Deflate.decompressed(stream, count: 1000, path: "p", what: "tensor") == bytes)
        try Zlib.$isHidden.withValue(true) {
            #expect(!ZlibLibrary.isAvailable && !Deflate.isAvailable && Deflate.compressed(bytes) == nil)
            let error = try #require(throws: ModelFileError.self) { try Deflate.decompressed(stream, count: 1000, path: "p", what: "tensor") }
            #expect(error.kind == .unsupported && error.description.contains("zlib"))
            expectGoodMessage(error, path: "p")
            try withFile(gzip(Self.whole)) { path in
                let error = try #require(throws: ModelFileError.self) { try IDXFile(path: path) }
                #expect(error.kind == .unsupported && error.description.contains("zlib"))
                expectGoodMessage(error, path: path)
            }
            try withFile(Self.whole) { (path) throws in #expect(try IDXFile(path: path).count == 12) }
        }
    }

    /// A deployed network is written undeflated where there is no zlib, and reads back; one that is deflated names zlib.
    @Test func deployedNetworksWithoutZlib() throws {
        let network = try Sequential([Linear(weight: Matrix(rows: 8, columns: 64))])
        try withTemporaryFolder { folder in
            let deflated = "\(folder)/deflated", plain = "\(folder)/plain"
            try DeployedModel.write(network, to: deflated)
            try Zlib.$isHidden.withValue(true) {
                try DeployedModel.write(network, to: plain)
                #expect(try DeployedModel.read(from: plain).layers.count == 1)
                let error = try #require(throws: ModelFileError.self) { try DeployedModel.read(from: deflated) }
                #expect(error.kind == .unsupported && error.description.contains("zlib"), "\(error)")
            }
            #expect(try DeployedModel.read(from: deflated).layers.count == 1)
            #expect(try FileManager.default.attributesOfItem(atPath: plain)[.size] as? Int ?? 0 > 8 * 64 * 4)
        }
    }

    @Test func streamsOfOtherLengthsAreRefused() throws {
        let stream = try #require(Deflate.compressed([UInt8](repeating: 7, count: 1000)))
        for count in [-1, 0, 1, 999, 1001, stream.count * 1032 + 1, .max] {
            let error = try #require(throws: ModelFileError.self) { try Deflate.decompressed(stream, count: count, path: "p", what: "tensor") }
            #expect(error.kind == .malformed, "\(count)")
        }
        for cut in 0..<stream.count {
            #expect(throws: ModelFileError.self) { try Deflate.decompressed(Array(stream.prefix(cut)), count: 1000, path: "p", what: "tensor") }
        }
    }
}
