import CKernels
import CKernelsTestSupport
import Testing

@Suite struct DispatchTests {
    private var rows: [(operation: String, isa: ck_isa, function: String)] {
        var first: UnsafePointer<ck_kernel_row>?
        let count = ck_kernel_rows(&first)
        return UnsafeBufferPointer(start: first, count: count)
            .map { (String(cString: $0.operation), $0.isa, String(cString: $0.function)) }
    }

    /// ck_<operation>__<isa>, the operation of lower-case words joined by single underscores.
    @Test func namesFollowTheGrammar() throws {
        #expect(rows.count >= 30)
        for row in rows {
            #expect(row.operation.wholeMatch(of: /[a-z0-9]+(_[a-z0-9]+)+/) != nil, "\(row.operation)")
            #expect(row.function == "ck_\(row.operation)__\(String(cString: ck_isa_name(row.isa)))")
        }
    }

    /// kernels.inc stands in an #if of each architecture: a row outside of it does not compile (Scripts/kernel-list-check.sh).
    @Test func rowsAreOfThisArchitecture() {
        #if arch(x86_64)
            let here = "x86_64"
        #else
            let here = "arm64"
        #endif
        for row in rows { #expect(["any", here].contains(String(cString: ck_isa_architecture(row.isa))), "\(row.function)") }
    }

    @Test func everyOperationHasOnePortableKernel() {
        #expect(Set(rows.map(\.function)).count == rows.count)
        let portable = rows.filter { $0.isa == ck_isa_portable }.map(\.operation)
        #expect(Set(portable) == Set(rows.map(\.operation)))
    }

    /// Later rows overwrite earlier ones in the tables, so they must not be slower sets.
    @Test func rowsAreInTheOrderOfTheSets() {
        let order = rows.map(\.isa.rawValue)
        #expect(order == order.sorted())
    }

    @Test func tablesHoldTheLastRowOfEachOperation() {
        #expect(InstructionSet.available.first?.isa == ck_isa_portable)
        for set in InstructionSet.available {
            #expect(set.kernels.isa == set.isa)
            #expect(ck_test_table_is_filled(set.isa), "\(set.testDescription)")
        }
    }

    @Test func instructionSetsAreFoundByName() {
        for raw in 0..<UInt32(ck_isa_count.rawValue) {
            var found = ck_isa_count
            #expect(ck_isa_named(ck_isa_name(ck_isa(raw)), &found))
            #expect(found.rawValue == raw)
        }
        for bogus in ["", "avx3", "AVX2", "portable ", "avx2,fma", "avx512bogus", "NEON", "neon+dotprod"] {
            var untouched = ck_isa_count
            #expect(!ck_isa_named(bogus, &untouched), "\(bogus)")
            #expect(untouched == ck_isa_count)
        }
    }

    @Test func whatTheMachineLacksIsRefused() {
        let active = ck_active_kernels().pointee.isa
        #expect(ck_isa_is_available(active))
        for raw in 0..<UInt32(ck_isa_count.rawValue) where !ck_isa_is_available(ck_isa(raw)) {
            #expect(ck_kernels_of(ck_isa(raw)) == nil)
            #expect(!ck_use_isa(ck_isa(raw)))
        }
        // Only the set already in use: other suites run at the same time and rely on it.
        #expect(ck_use_isa(active))
        #expect(ck_active_kernels().pointee.isa == active)
    }
}
