import CompactNumerics
import Testing

/// The choice of instruction sets as programs see it.
@Suite struct InstructionSetTests {
    @Test func selectionsTellWhatIsUsedAndWhy() throws {
        let sets = InstructionSet.available, best = try #require(sets.last)
        #expect(sets.first?.name == "portable")
        for nothing in [nil, ""] as [String?] {
            let selection = InstructionSet.Selection(requested: nothing)
            #expect(selection.requested == nil && selection.used == best && selection.reason == .best && !selection.isFallback)
        }
        for set in sets {
            let selection = InstructionSet.Selection(requested: set.name)
            #expect(selection.requested == set.name && selection.used == set && selection.reason == .requested && !selection.isFallback)
        }
        let bogus = InstructionSet.Selection(requested: "bogus")
        #expect(bogus.requested == "bogus" && bogus.used == best && bogus.reason == .unknownName && bogus.isFallback)
        #expect(bogus.description == "CK_ISA=bogus: no such instruction set; available here: " + sets.map(\.name).joined(separator: " "))
    }

    /// Tests end where the set that is asked for is not the one in use.
    @Test func thisProcessUsesWhatWasAskedFor() {
        #expect(!InstructionSet.selection.isFallback && InstructionSet.available.contains(InstructionSet.selection.used))
    }
}
