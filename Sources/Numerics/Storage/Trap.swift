// A wrong call in code ends the process with the words that an error would have. Swift's `precondition` drops its words under -O.

/// Ends the process with `message` on standard error unless `condition` holds, in every build.
@inlinable
package func trapUnless(
    _ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    if !condition() { trap(message(), file: file, line: line) }
}

/// Ends the process with `message` on standard error, in every build.
@usableFromInline @inline(never)
package func trap(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    fatalError(message, file: file, line: line)
}
