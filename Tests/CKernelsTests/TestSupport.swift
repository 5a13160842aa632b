import CKernels
import CKernelsTestSupport
import Foundation
import Testing

/// An instruction set that this machine can run: tests loop over all of them in one process.
struct InstructionSet: Sendable, CustomTestStringConvertible {
    let rawValue: UInt32

    static let available: [InstructionSet] = (0..<UInt32(ck_isa_count.rawValue))
        .map(InstructionSet.init(rawValue:))
        .filter { ck_isa_is_available($0.isa) && withRows.contains($0.rawValue) }

    /// Sets with kernels of their own: others have the tables of those before them.
    private static let withRows: Set<UInt32> = {
        var rows: UnsafePointer<ck_kernel_row>?
        let count = ck_kernel_rows(&rows)
        return Set(UnsafeBufferPointer(start: rows, count: count).map(\.isa.rawValue))
    }()

    var isa: ck_isa { ck_isa(rawValue) }
    var kernels: ck_kernels { ck_kernels_of(isa)!.pointee }
    var testDescription: String { String(cString: ck_isa_name(isa)) }
}

/// Seed of all random tests of this run: `CK_TEST_SEED` where that is set, else a fresh one. Printed, to repeat a failure.
let testSeed: UInt64 = {
    let given = ProcessInfo.processInfo.environment["CK_TEST_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 0...UInt64.max)
    print("CK_TEST_SEED=\(seed)")
    return seed
}()

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    /// A stream of its own for each `stream`, from the seed of this run.
    init(stream: UInt64) { state = testSeed &+ stream &* 0xD134_2543_DE82_EF95 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// On which side of some memory, without a gap, lies a page that ends the process when it is read or written.
enum GuardPage: CaseIterable { case before, behind }

/// `count` elements that begin `offset` elements after a 64-byte boundary, between guard bytes that nobody may change; or right behind or
/// right before a page that nobody may touch.
final class GuardedBuffer<Element: BitwiseCopyable> {
    let elements: UnsafeMutableBufferPointer<Element>
    private let memory: UnsafeMutableRawBufferPointer
    private let lead: Int
    private let isMapped: Bool
    private static var pattern: UInt8 { 0xA5 }

    /// Elements hold the guard pattern until they are written.
    convenience init(count: Int, offset: Int = 0) {
        let stride = MemoryLayout<Element>.stride, lead = 64 + offset * stride
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: lead + count * stride + 64, alignment: 64)
        self.init(memory, count: count, lead: lead, isMapped: false)
    }

    /// The same at a guard page. Before one, elements are aligned as their type alone.
    convenience init(count: Int, guardPage: GuardPage) {
        let byteCount = count * MemoryLayout<Element>.stride, mapped = ck_test_mapped_bytes(byteCount)
        let memory = UnsafeMutableRawBufferPointer(start: ck_test_map_between_guards(byteCount)!, count: mapped)
        self.init(memory, count: count, lead: guardPage == .before ? 0 : mapped - byteCount, isMapped: true)
    }

    convenience init(_ values: [Element], offset: Int = 0) {
        self.init(count: values.count, offset: offset)
        _ = elements.update(fromContentsOf: values)
    }

    convenience init(_ values: [Element], guardPage: GuardPage) {
        self.init(count: values.count, guardPage: guardPage)
        _ = elements.update(fromContentsOf: values)
    }

    private init(_ memory: UnsafeMutableRawBufferPointer, count: Int, lead: Int, isMapped: Bool) {
        memory.initializeMemory(as: UInt8.self, repeating: Self.pattern)
        let bytes = memory[lead..<lead + count * MemoryLayout<Element>.stride]
        elements = UnsafeMutableBufferPointer(
            start: (memory.baseAddress! + lead).bindMemory(to: Element.self, capacity: count), count: bytes.count / MemoryLayout<Element>.stride)
        (self.memory, self.lead, self.isMapped) = (memory, lead, isMapped)
    }

    deinit {
        if isMapped { ck_test_unmap_between_guards(memory.baseAddress!, memory.count) } else { memory.deallocate() }
    }

    var base: UnsafeMutablePointer<Element> { elements.baseAddress! }
    var values: [Element] { Array(elements) }
    var guardsAreIntact: Bool {
        memory[..<lead].allSatisfy { $0 == Self.pattern }
            && memory[(lead + elements.count * MemoryLayout<Element>.stride)...].allSatisfy { $0 == Self.pattern }
    }
}

/// Runs `body` once per rounding direction (0 is nearest), with subnormals flushed, in the thread's floating-point control
/// register. `body` should only call kernels: Swift's own arithmetic obeys the register too.
func withEveryFloatControl(_ body: (UInt32) -> Void) {
    let usual = ck_test_float_control()
    for direction in UInt32(0)..<4 {
        ck_test_set_float_control(ck_test_hostile_control(usual, direction))
        body(direction)
        ck_test_set_float_control(usual)
    }
}

/// Float32 values that are hard to round or to clamp, as bits: zeros, subnormals, ties, limits, infinities, NaNs.
let specialFloatBits: [UInt32] = {
    let positive: [UInt32] = [
        0x0000_0000, 0x0000_0001, 0x0000_8000, 0x007F_FFFF, 0x0080_0000, 0x3300_0000, 0x3300_0001, 0x387F_F000, 0x3880_0000,
        0x3EFF_FFFF, 0x3F00_0000, 0x3F00_0001, 0x3FC0_0000, 0x4020_0000, 0x42FD_0000, 0x42FF_0000, 0x437E_8000, 0x437F_8000,
        0x477F_EFFF, 0x477F_F000, 0x4780_0000, 0x4AFF_FFFF, 0x4F00_0000, 0x4F32_D05E, 0x7E80_0000, 0x7F7F_7FFF, 0x7F7F_8000,
        0x7F7F_FFFF, 0x7F80_0000, 0x7F80_0001, 0x7F80_2000, 0x7FBF_FFFF, 0x7FC0_0000, 0x7FFF_FFFF,
    ]
    return positive + positive.map { $0 | 0x8000_0000 }
}()

/// One row of formats.csv: an input (float32 bits, or two of them for a quotient) and the bits that are expected.
struct GoldenVector {
    let format: String
    let input: String
    let expected: UInt32

    /// All rows of one format. Fields after the third (the source, quoted where it holds commas) are for readers.
    static func all(_ format: String) throws -> [GoldenVector] {
        let file = try #require(Bundle.module.url(forResource: "formats", withExtension: "csv", subdirectory: "Golden"))
        let lines = try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isNewline)
        return try lines.filter { $0.hasPrefix(format + ",") }.map { line in
            let fields = line.split(separator: ",")
            let expected = try #require(UInt32(fields[2].dropFirst(2), radix: 16))
            return GoldenVector(format: format, input: String(fields[1]), expected: expected)
        }
    }

    func inputBits() throws -> UInt32 { try #require(UInt32(input.dropFirst(2), radix: 16)) }
}

func hex(_ bits: UInt32) -> String { "0x" + String(bits, radix: 16) }
