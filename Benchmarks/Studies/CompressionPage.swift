import Foundation
import ModelCompression

/// A compression report as a self-contained page: bars of what is left, and the layers.
enum CompressionPage {
    static func html(_ report: CompressionReport, data: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>\(escaped(report.recipe))</title>
        <style>
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 860px; padding: 0 1em; color: #1d2733; background: #fff }
        table { border-collapse: collapse; width: 100% } th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid #dde3ea }
        th:first-child, td:first-child { text-align: left } h2 { margin-top: 2em; font-size: 1.1em } text { font: 13px system-ui, sans-serif; fill: #1d2733 }
        .note { color: #5b6876; font-size: 13px }
        </style></head><body>
        <h1>\(escaped(report.recipe))</h1>
        <p>\(escaped(data)): accuracy \(percent(report.accuracyBefore)) before, <b>\(percent(report.accuracyAfter))</b> after.</p>
        <h2>What is left, of the float32 network</h2>
        \(bars(report))
        <h2>Bytes of each layer</h2>
        \(layerBars(report))
        <h2>Steps</h2>
        \(steps(report))
        <h2>Layers</h2>
        \(layers(report))
        <p class="note">Times are medians of 200 calls, measured in turn. Energy is modelled after Horowitz, ISSCC 2014, never measured.</p>
        </body></html>
        """
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;").replacingOccurrences(of: ">", with: "&gt;")
    }

    private static func percent(_ value: Double) -> String { fixed(100 * value, 2) + " %" }

    private static func bars(_ report: CompressionReport) -> String {
        var rows: [(String, Double, String)] = [
            ("weights", Double(report.parametersAfter) / Double(report.parametersBefore), "\(report.parametersAfter)"),
            ("bytes in memory", Double(report.bytesAfter) / Double(report.bytesBefore), byteText(report.bytesAfter)),
            ("bytes on disk", Double(report.fileBytesAfter) / Double(report.fileBytesBefore), byteText(report.fileBytesAfter)),
            ("multiply–adds", Double(report.multiplyAddsAfter) / Double(report.multiplyAddsBefore), "\(report.multiplyAddsAfter)"),
        ]
        for latency in report.latencies {
            rows.append(("time, batch \(latency.batch)", latency.p50After / latency.p50Before, fixed(1000 * latency.p50After, 1) + " µs"))
        }
        rows.append(
            (
                "energy (modelled)", report.modelledMicrojoulesAfter / report.modelledMicrojoulesBefore,
                fixed(report.modelledMicrojoulesAfter, 1) + " µJ"
            ))
        let lines = rows.enumerated().map { index, row in
            let y = 30 * index, width = 430 * min(1, row.1)
            return """
                <text x="150" y="\(y + 19)" text-anchor="end">\(row.0)</text>
                <rect x="160" y="\(y + 4)" width="430" height="20" fill="#e8edf3"/><rect x="160" y="\(y + 4)" width="\(fixed(width, 1))" height="20" fill="\(row.1 > 1 ? "#c0392b" : "#2f6fb2")"/>
                <text x="600" y="\(y + 19)">\(fixed(100 * row.1, 1)) %  ·  1/\(fixed(1 / row.1, 1))  ·  \(row.2)</text>
                """
        }
        return "<svg viewBox=\"0 0 860 \(30 * rows.count)\" width=\"100%\" role=\"img\">\(lines.joined())</svg>"
    }

    private static func layerBars(_ report: CompressionReport) -> String {
        let most = Double(max(1, report.layers.map(\.bytesBefore).max() ?? 1))
        let lines = report.layers.enumerated().map { index, layer in
            let y = 44 * index, before = max(1, 560 * Double(layer.bytesBefore) / most), after = max(1, 560 * Double(layer.bytesAfter) / most)
            return """
                <text x="110" y="\(y + 24)" text-anchor="end">\(escaped(layer.name))</text>
                <rect x="120" y="\(y + 4)" width="\(fixed(before, 1))" height="14" fill="#b9c4d0"/><text x="\(fixed(before + 126, 1))" y="\(y + 16)">\(byteText(layer.bytesBefore))</text>
                <rect x="120" y="\(y + 20)" width="\(fixed(after, 1))" height="14" fill="#2f6fb2"/><text x="\(fixed(after + 126, 1))" y="\(y + 32)">\(byteText(layer.bytesAfter)), \(escaped(layer.form))</text>
                """
        }
        return "<svg viewBox=\"0 0 860 \(44 * report.layers.count)\" width=\"100%\" role=\"img\">\(lines.joined())</svg>"
    }

    private static func steps(_ report: CompressionReport) -> String {
        let rows = report.steps.map {
            "<tr><td>\(escaped($0.step))</td><td>\(percent($0.accuracyBefore))</td><td>\(percent($0.accuracyAfter))</td><td>\($0.keptWeights)</td><td>\(fixed($0.seconds, 1))</td></tr>"
        }
        return "<table><tr><th>step</th><th>accuracy before</th><th>after</th><th>weights kept</th><th>seconds</th></tr>\(rows.joined())</table>"
    }

    private static func layers(_ report: CompressionReport) -> String {
        let rows = report.layers.map {
            "<tr><td>\(escaped($0.name))</td><td>\(escaped($0.form))</td><td>\($0.weightsBefore)</td><td>\($0.weightsAfter)</td><td>\($0.multiplyAddsBefore)</td><td>\($0.multiplyAddsAfter)</td></tr>"
        }
        return "<table><tr><th>layer</th><th>form</th><th>weights</th><th>kept</th><th>multiply–adds</th><th>after</th></tr>\(rows.joined())</table>"
    }
}
