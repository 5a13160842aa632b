internal import CKernels

/// A set of instructions that kernels are written for, such as "avx2" or "neon"; "portable" is plain C and runs everywhere.
///
/// The environment variable `CK_ISA` names the one to use. A library does not end its host: a name that is unknown, or a set that this machine
/// cannot run, falls back to the best one, and `selection` tells. Programs for which only the requested set will do ask there.
public struct InstructionSet: Sendable, Hashable, CustomStringConvertible {
    /// As `CK_ISA` spells it.
    public let name: String

    public var description: String { name }

    fileprivate init(_ isa: ck_isa) {
        name = String(cString: ck_isa_name(isa))
    }

    /// Those that this machine can run, from the slowest to the fastest. Never empty.
    public static let available: [InstructionSet] = (0..<ck_isa_count.rawValue).map { ck_isa($0) }.filter(ck_isa_is_available).map(
        InstructionSet.init)

    /// Names of the set that is called `name` and of those whose CPU features are among its own, the highest priority first; none for an unknown name.
    package static func chain(from name: String) -> [String] {
        var isa = ck_isa(0)
        guard ck_isa_named(name, &isa) else { return [] }
        let sets = (0..<ck_isa_count.rawValue).reversed().map { ck_isa($0) }
        return sets.filter { ck_isa_features($0) & ~ck_isa_features(isa) == 0 }.map { InstructionSet($0).name }
    }

    /// How the set in use was chosen: once, when the first kernel was asked for.
    public static let selection = Selection(ck_selected_isa())

    /// What was asked for, what is used, and why.
    public struct Selection: Sendable, Hashable, CustomStringConvertible {
        public enum Reason: Sendable, Hashable {
            /// `CK_ISA` is empty or not set: the best set of this machine is used.
            case best
            /// `CK_ISA` names the set that is used.
            case requested
            /// `CK_ISA` names no set: the best one is used.
            case unknownName
            /// `CK_ISA` names a set that this machine cannot run, perhaps one of another architecture: the best one is used.
            case unavailable
        }

        /// The value of `CK_ISA`, at most 63 bytes of it; nil where it is empty or not set.
        public let requested: String?
        public let used: InstructionSet
        public let reason: Reason
        /// One line: "avx2, as CK_ISA asks", "CK_ISA=avx3: no such instruction set; available here: portable avx2",
        /// "CK_ISA=i8mm: an instruction set of arm64, this machine is x86_64; available here: portable avx2".
        public let description: String

        /// Whether the set in use is another one than `CK_ISA` asks for.
        public var isFallback: Bool { reason == .unknownName || reason == .unavailable }

        /// What is used where `CK_ISA` is `requested`.
        package init(requested: String?) {
            self = (requested ?? "").withCString { Selection(ck_select_isa($0)) }
        }

        fileprivate init(_ selection: ck_isa_selection) {
            requested = selection.requested.map { String(cString: $0) }
            used = InstructionSet(selection.used)
            reason =
                switch selection.reason {
                case ck_isa_requested: .requested
                case ck_isa_unknown: .unknownName
                case ck_isa_unavailable: .unavailable
                default: .best
                }
            var line = [CChar](repeating: 0, count: ck_describe_isa_selection(selection, nil, 0) + 1)
            ck_describe_isa_selection(selection, &line, line.count)
            description = String(decoding: line.dropLast().map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
        }
    }
}
