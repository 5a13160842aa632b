import CKernels
import Foundation
import Testing

/// CK_ISA: what it asks for, what is used instead, and that the set in use can be changed.
@Suite struct InstructionSetTests {
    #if arch(x86_64)
        private static let architecture = "x86_64", foreign = "arm64"
    #elseif arch(arm64)
        private static let architecture = "arm64", foreign = "x86_64"
    #else
        private static let architecture = "another", foreign = "x86_64"
    #endif

    private static func line(_ selection: ck_isa_selection) -> String {
        var text = [CChar](repeating: 1, count: ck_describe_isa_selection(selection, nil, 0) + 1)
        let length = ck_describe_isa_selection(selection, &text, text.count)
        #expect(length == text.count - 1 && text.last == 0)
        return String(decoding: text.dropLast().map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }

    @Test func unknownAndUnavailableSetsFallBackToTheBest() {
        let sets = (0..<ck_isa_count.rawValue).map { ck_isa($0) }.filter(ck_isa_is_available)
        let best = InstructionSet(rawValue: sets.last!.rawValue)
        let names = sets.map { String(cString: ck_isa_name($0)) }.joined(separator: " ")
        for nothing in [ck_select_isa(nil), ck_select_isa("")] {
            #expect(nothing.used == best.isa && nothing.reason == ck_isa_best && nothing.requested == nil)
            #expect(Self.line(nothing) == "\(best.testDescription), the best of this machine")
        }
        for bogus in ["bogus", "AVX2", "portable ", "avx3"] {
            bogus.withCString { name in
                let selection = ck_select_isa(name)
                #expect(selection.used == best.isa && selection.reason == ck_isa_unknown && String(cString: selection.requested!) == bogus)
                #expect(Self.line(selection) == "CK_ISA=\(bogus): no such instruction set; available here: \(names)")
            }
        }
        for raw in 0..<ck_isa_count.rawValue {
            let isa = ck_isa(raw), selection = ck_select_isa(ck_isa_name(isa)), name = String(cString: ck_isa_name(isa))
            if ck_isa_is_available(isa) {
                #expect(selection.used == isa && selection.reason == ck_isa_requested)
                #expect(Self.line(selection) == "\(name), as CK_ISA asks")
            } else {
                #expect(selection.used == best.isa && selection.reason == ck_isa_unavailable)
                let architecture = String(cString: ck_isa_architecture(isa))
                let foreign = "an instruction set of \(architecture), this machine is \(Self.architecture)"
                let problem = architecture != Self.architecture ? foreign : "this machine cannot run it"
                #expect(Self.line(selection) == "CK_ISA=\(name): \(problem); available here: \(names)")
            }
        }
    }

    /// Sets of both architectures are known by name everywhere; what runs is of this one, and no two sets share a feature across architectures.
    @Test func setsOfAnotherArchitectureAreKnownAndNotHere() {
        let sets = (0..<ck_isa_count.rawValue).map { ck_isa($0) }
        var features: [String: UInt32] = [:]
        for isa in sets {
            let architecture = String(cString: ck_isa_architecture(isa))
            #expect(["any", "x86_64", "arm64"].contains(architecture) && (architecture == "any") == (ck_isa_features(isa) == 0))
            #expect(!ck_isa_is_available(isa) || architecture == "any" || architecture == Self.architecture)
            features[architecture, default: 0] |= ck_isa_features(isa)
        }
        #expect(features["x86_64"]! & features["arm64"]! == 0 && ck_machine_features() & features[Self.foreign]! == 0)
        for name in ["neon", "dotprod", "i8mm", "armbf16", "avx2", "avx512vnni"] {
            var isa = ck_isa_count
            #expect(ck_isa_named(name, &isa))
            let architecture = String(cString: ck_isa_architecture(isa))
            guard architecture == Self.foreign else { continue }
            let selection = ck_select_isa(ck_isa_name(isa))
            #expect(selection.reason == ck_isa_unavailable)
            let words = "CK_ISA=\(name): an instruction set of \(architecture), this machine is \(Self.architecture); available here: portable"
            #expect(Self.line(selection).hasPrefix(words))
        }
    }

    /// What the system tells of cores, on machines of any kind: names by identification registers, and how many are fast ones.
    @Test func coresAreNamedAndCounted() {
        func name(_ midrs: [UInt32], _ capacities: [UInt64], room: Int = 64) -> String {
            let text = GuardedBuffer<CChar>(count: room)
            ck_arm_cores_name(midrs, capacities, midrs.count, text.base, room)
            #expect(text.guardsAreIntact)
            return String(cString: text.base)
        }
        let a55: UInt32 = 0x412F_D050, a76: UInt32 = 0x410F_D0B1, n1: UInt32 = 0x413F_D0C1
        #expect(name([], []).isEmpty && name([n1, n1], [1024, 1024]) == "Neoverse N1" && name([0x410F_D4F0], [0]) == "Neoverse V2")
        #expect(name([a55, a55, a76, a76 ^ 1], [300, 300, 1024, 1024]) == "Cortex-A76 + Cortex-A55")
        #expect(name([0x999F_FFF0], [0]) == "arm64 implementer 0x99 part 0xfff")
        for room in 1...30 { #expect(name([a55, a76], [300, 1024], room: room) == String("Cortex-A76 + Cortex-A55".prefix(room - 1))) }

        func fast(_ capacities: [Int32]) -> Int32 { ck_count_fast_cores(capacities, Int32(capacities.count)) }
        #expect(fast([]) == 0 && fast([1024]) == 1 && fast([1024, 1024]) == 2 && fast([0, 0]) == 2)
        #expect(fast([300, 300, 300, 300, 1024, 1024]) == 2)
        #expect(fast([250, 250, 250, 250, 760, 760, 760, 1024]) == 4)  // one core above the rest does not idle them
        #expect((0...Int32(ProcessInfo.processInfo.activeProcessorCount)).contains(ck_fast_cores()))
    }

    @Test func linesAreCutToTheirRoom() {
        "bogus".withCString { name in
            let selection = ck_select_isa(name), whole = Self.line(selection)
            for capacity in 1...whole.utf8.count + 2 {
                let text = GuardedBuffer<CChar>(count: capacity)
                #expect(ck_describe_isa_selection(selection, text.base, capacity) == whole.utf8.count)
                #expect(String(cString: text.base) == String(whole.prefix(capacity - 1)) && text.guardsAreIntact)
            }
        }
    }

    /// In a process of its own: other suites rely on the set in use.
    @Test func theSetInUseCanBeChanged() async {
        await #expect(processExitsWith: .success) {
            #expect(ck_selected_isa().used == ck_active_kernels().pointee.isa)
            for set in InstructionSet.available + InstructionSet.available.reversed() {
                #expect(ck_use_isa(set.isa) && ck_active_kernels().pointee.isa == set.isa)
                for other in InstructionSet.available {
                    #expect(ck_isa_is_active(other.isa) == (ck_isa_features(other.isa) & ~ck_isa_features(set.isa) == 0))
                }
            }
        }
    }
}
