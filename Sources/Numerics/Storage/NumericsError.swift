public import Foundation

/// What was wrong with data, shapes or options that came from outside. `description` is one line that names what was
/// expected and what was found.
public enum NumericsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A size, length or shape differs from the one that its context demands ("256×1024", "4096 elements").
    case shapeMismatch(what: String, expected: String, found: String)
    /// `value` has to be a multiple of `by`: K and the group size, rows and the block height.
    case notDivisible(what: String, value: Int, by: Int)
    /// A number lies outside what is allowed: a sparsity, a bit width, a count of threads.
    case outOfRange(what: String, allowed: String, found: String)
    /// The element of `what` at [`row`, `column`] is NaN or infinite.
    case notFinite(what: String, row: Int, column: Int)
    /// A name that stands for nothing known: a format, a block shape.
    case unknown(what: String, allowed: [String], found: String)
    /// Arrays that together should form a structure do not: row offsets that decrease, a column index twice in a row.
    case invalidStructure(what: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .shapeMismatch(let what, let expected, let found), .invalidStructure(let what, let expected, let found):
            "\(what): expected \(expected), found \(found)"
        case .notDivisible(let what, let value, let divisor):
            "\(what): expected a multiple of \(divisor), found \(value)"
        case .outOfRange(let what, let allowed, let found):
            "\(what): expected \(allowed), found \(found)"
        case .notFinite(let what, let row, let column):
            "\(what): expected finite numbers, found NaN or infinity at row \(row), column \(column)"
        case .unknown(let what, let allowed, let found):
            "\(what): expected one of \(allowed.joined(separator: ", ")), found \(found)"
        }
    }
}

extension NumericsError: LocalizedError {
    /// The same line as `description`: what an alert or `localizedDescription` shows.
    public var errorDescription: String? { description }
}
