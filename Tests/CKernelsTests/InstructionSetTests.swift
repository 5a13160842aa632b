import CKernels
import Testing

/// CK_ISA: what it asks for, what is used instead, and that the set in use can be changed.
@Suite struct InstructionSetTests {
    private static func line(_ selection: ck_isa_selection) -> String {
        var text = [CChar](repeating: 1, count: ck_describe_isa_selection(selection, nil, 0) + 1)
        let length = ck_describe_isa_selection(selection, &text, text.count)
        #expect(length == text.count - 1 && text.last == 0)
        return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
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
                #expect(Self.line(selection) == "CK_ISA=\(name): this machine cannot run it; available here: \(names)")
            }
        }
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
