import Foundation

/// A self-contained page in the style of all reports.
enum WebPage {
    static func html(title: String, body: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>\(escaped(title))</title>
        <style>
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 860px; padding: 0 1em; color: #1d2733; background: #fff }
        table { border-collapse: collapse; width: 100% } th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid #dde3ea }
        th:first-child, td:first-child { text-align: left } h2 { margin-top: 2em; font-size: 1.1em }
        text { font: 13px system-ui, sans-serif; fill: #1d2733 } .note, .note text { color: #5b6876; fill: #5b6876; font-size: 13px }
        </style></head><body>
        <h1>\(escaped(title))</h1>
        \(body)
        </body></html>
        """
    }

    static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;").replacingOccurrences(of: ">", with: "&gt;")
    }

    /// A drawing of the page's width, 860 units.
    static func drawing(height: Int, _ shapes: [String]) -> String {
        "<svg viewBox=\"0 0 860 \(height)\" width=\"100%\" role=\"img\">\(shapes.joined())</svg>"
    }

    static func text(_ x: Double, _ y: Double, _ text: String, anchor: String = "start") -> String {
        "<text x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" text-anchor=\"\(anchor)\">\(escaped(text))</text>"
    }

    static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, color: String, width: Double = 1) -> String {
        "<line x1=\"\(fixed(x1, 1))\" y1=\"\(fixed(y1, 1))\" x2=\"\(fixed(x2, 1))\" y2=\"\(fixed(y2, 1))\" stroke=\"\(color)\" "
            + "stroke-width=\"\(width)\"/>"
    }

    static func circle(_ x: Double, _ y: Double, radius: Double, color: String, opacity: Double = 1) -> String {
        "<circle cx=\"\(fixed(x, 1))\" cy=\"\(fixed(y, 1))\" r=\"\(radius)\" fill=\"\(color)\" fill-opacity=\"\(opacity)\"/>"
    }

    static func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, color: String) -> String {
        "<rect x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" width=\"\(fixed(width, 1))\" height=\"\(fixed(height, 1))\" fill=\"\(color)\"/>"
    }
}
