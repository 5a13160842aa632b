import Foundation
import ModelCompression

/// A compression report as a self-contained page: bars of what is left, and the layers.
enum CompressionPage {
    static func html(_ report: CompressionReport, data: String) -> String {
        let body = """
            <p>\(WebPage.escaped(data)): accuracy \(percent(report.accuracyBefore)) before, <b>\(percent(report.accuracyAfter))</b> after.</p>
            <h2>What is left, of the float32 network</h2>
            \(bars(report))
            <h2>Bytes of each layer</h2>
            \(layerBars(report))
            <h2>Steps</h2>
            \(steps(report))
            <h2>Layers</h2>
            \(layers(report))
            <p class="note">Times are medians of calls of both networks in turn. Energy is modelled after Horowitz, ISSCC 2014, never measured.</p>
            """
        return WebPage.html(title: report.recipe, body: body)
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
            let y = Double(30 * index), width = 430 * min(1, row.1)
            return [
                WebPage.text(150, y + 19, row.0, anchor: "end"), WebPage.rectangle(160, y + 4, 430, 20, color: "#e8edf3"),
                WebPage.rectangle(160, y + 4, width, 20, color: row.1 > 1 ? "#c0392b" : "#2f6fb2"),
                WebPage.text(600, y + 19, "\(fixed(100 * row.1, 1)) %  ·  1/\(fixed(1 / row.1, 1))  ·  \(row.2)"),
            ].joined()
        }
        return WebPage.drawing(height: 30 * rows.count, lines)
    }

    private static func layerBars(_ report: CompressionReport) -> String {
        let most = Double(max(1, report.layers.map(\.bytesBefore).max() ?? 1))
        let lines = report.layers.enumerated().map { index, layer in
            let y = Double(44 * index), before = max(1, 560 * Double(layer.bytesBefore) / most)
            let after = max(1, 560 * Double(layer.bytesAfter) / most)
            return [
                WebPage.text(110, y + 24, layer.name, anchor: "end"), WebPage.rectangle(120, y + 4, before, 14, color: "#b9c4d0"),
                WebPage.text(before + 126, y + 16, byteText(layer.bytesBefore)), WebPage.rectangle(120, y + 20, after, 14, color: "#2f6fb2"),
                WebPage.text(after + 126, y + 32, "\(byteText(layer.bytesAfter)), \(layer.form)"),
            ].joined()
        }
        return WebPage.drawing(height: 44 * report.layers.count, lines)
    }

    private static func table(_ heads: [String], _ rows: [[String]]) -> String {
        let head = heads.map { "<th>\($0)</th>" }.joined()
        let lines = rows.map { "<tr>" + $0.map { "<td>\(WebPage.escaped($0))</td>" }.joined() + "</tr>" }
        return "<table><tr>\(head)</tr>\(lines.joined())</table>"
    }

    private static func steps(_ report: CompressionReport) -> String {
        table(
            ["step", "accuracy before", "after", "weights kept", "seconds"],
            report.steps.map { [$0.step, percent($0.accuracyBefore), percent($0.accuracyAfter), "\($0.keptWeights)", fixed($0.seconds, 1)] })
    }

    private static func layers(_ report: CompressionReport) -> String {
        table(
            ["layer", "form", "weights", "kept", "multiply–adds", "after"],
            report.layers.map {
                [$0.name, $0.form, "\($0.weightsBefore)", "\($0.weightsAfter)", "\($0.multiplyAddsBefore)", "\($0.multiplyAddsAfter)"]
            })
    }
}
