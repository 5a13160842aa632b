public import CompactNumerics
public import Foundation
public import ModelFiles

/// What was wrong with data, options or files, or what stopped a training run. `description` is one line that names what was expected
/// and what was found.
public enum CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A size or shape differs from the one that its context demands.
    case shapeMismatch(what: String, expected: String, found: String)
    /// A number or option lies outside what is allowed: a learning rate, a count of epochs, a label.
    case outOfRange(what: String, allowed: String, found: String)
    /// The element of `what` at [`row`, `column`] is NaN or infinite.
    case notFinite(what: String, row: Int, column: Int)
    /// The loss, an output of `layer` or a gradient of it became NaN or infinite; epoch and step count from 0.
    case diverged(epoch: Int, step: Int, layer: String, found: String)
    /// A checkpoint or file of weights is sound, but belongs to another network or another training run.
    case otherNetwork(path: String, expected: String, found: String)
    /// The contents of a checkpoint or file of weights contradict themselves.
    case damagedFile(path: String, what: String, expected: String, found: String)
    /// A file could not be read or written.
    case file(ModelFileError)
    /// A deployed layer could not be made.
    case numerics(NumericsError)

    public var description: String {
        switch self {
        case .shapeMismatch(let what, let expected, let found): "\(what): expected \(expected), found \(found)"
        case .outOfRange(let what, let allowed, let found): "\(what): expected \(allowed), found \(found)"
        case .notFinite(let what, let row, let column):
            "\(what): expected finite numbers, found NaN or infinity at row \(row), column \(column)"
        case .diverged(let epoch, let step, let layer, let found):
            "training diverged in epoch \(epoch), step \(step), at \(layer): expected finite numbers, found \(found)"
        case .otherNetwork(let path, let expected, let found): "\(path): expected \(expected), found \(found)"
        case .damagedFile(let path, let what, let expected, let found): "\(path): \(what): expected \(expected), found \(found)"
        case .file(let error): error.description
        case .numerics(let error): error.description
        }
    }

    /// The result of `body`, whose errors become cases of this type.
    internal static func wrapping<Result>(_ body: () throws -> Result) throws(CompressionError) -> Result {
        do {
            return try body()
        } catch let error as CompressionError {
            throw error
        } catch let error as ModelFileError {
            throw .file(error)
        } catch let error as NumericsError {
            throw .numerics(error)
        } catch {
            throw .outOfRange(what: "operation", allowed: "success", found: "\(error)")
        }
    }
}

extension CompressionError: LocalizedError {
    /// The same line as `description`: what an alert or `localizedDescription` shows.
    public var errorDescription: String? { description }
}
