import Foundation
import ModelCompression

/// The rows of a study as a page: accuracies of all seeds as dots, their means, and what else was drawn.
enum StudyPage {
    private static let (left, right, rowHeight) = (430.0, 790.0, 22)
    private static let (blue, grey, red) = ("#2f6fb2", "#dde3ea", "#c0392b")

    static func html(title: String, subtitle: String, rows: [Laboratory.Row], figures: [String]) -> String {
        let body = """
            <p>\(WebPage.escaped(subtitle))</p>
            \(dots(rows))
            <p class="note">Accuracy in percent: a pale dot for each seed, a dark one for their mean.</p>
            \(figures.joined(separator: "\n"))
            """
        return WebPage.html(title: title, body: body)
    }

    private static func dots(_ rows: [Laboratory.Row]) -> String {
        let all = rows.flatMap(\.accuracies).map { 100 * $0 }
        guard let least = all.min(), let most = all.max() else { return "" }
        // Round steps, about five of them.
        let rough = max(most - least, 0.1) / 5, power = pow(10, floor(log10(rough)))
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough }!
        let (low, high) = ((least / step).rounded(.down) * step, (most / step).rounded(.up) * step)
        func place(_ value: Double) -> Double { left + (right - left) * (value - low) / max(high - low, 1e-9) }
        let height = rowHeight * rows.count
        var shapes: [String] = []
        for tick in stride(from: low, through: high + step / 2, by: step) {
            shapes.append(WebPage.line(place(tick), 0, place(tick), Double(height), color: grey))
            shapes.append(WebPage.text(place(tick), Double(height + 16), fixed(tick, step < 1 ? 1 : 0), anchor: "middle"))
        }
        for (index, row) in rows.enumerated() {
            let y = Double(rowHeight * index) + Double(rowHeight) / 2
            shapes.append(WebPage.text(left - 14, y + 4, row.name, anchor: "end"))
            guard !row.accuracies.isEmpty else {
                shapes.append(WebPage.text(left + 4, y + 4, row.notes))
                continue
            }
            let values = row.accuracies.map { 100 * $0 }, mean = values.reduce(0, +) / Double(values.count)
            shapes += values.map { WebPage.circle(place($0), y, radius: 4, color: blue, opacity: 0.25) }
            shapes.append(WebPage.circle(place(mean), y, radius: 4.5, color: blue))
            shapes.append(WebPage.text(right + 12, y + 4, fixed(mean, 2)))
        }
        return WebPage.drawing(height: height + 26, shapes)
    }

    /// Exponents of a layer's gradients, with what FP16 makes of them at a loss scale: up to 2⁻²⁵ zero, below 2⁻¹⁴ subnormal.
    static func gradients(layer: String, _ histogram: GradientHistogram, scale: Float) -> String {
        let exponents = -55...20, shift = Int(log2(scale)), width = 700.0 / Double(exponents.count)
        let most = Double(max(1, exponents.map { histogram.count(exponent: $0 - shift) }.max()!))
        func x(_ exponent: Int) -> Double { 130 + Double(exponent - exponents.lowerBound) * width }
        var shapes = [WebPage.text(118, 46, layer, anchor: "end"), WebPage.text(118, 62, "× \(Int(scale))", anchor: "end")]
        for exponent in exponents {
            let height = 60 * Double(histogram.count(exponent: exponent - shift)) / most
            let color = exponent < -25 ? red : exponent < -14 ? "#e0a33a" : blue
            shapes.append(WebPage.rectangle(x(exponent), 66 - height, width - 1, height, color: color))
        }
        shapes.append(WebPage.line(130, 66.5, 830, 66.5, color: "#5b6876"))
        for tick in stride(from: -50, through: exponents.upperBound, by: 10) {
            shapes.append(WebPage.text(x(tick) + width / 2, 82, "2^\(tick)", anchor: "middle"))
        }
        let share =
            "\(fixed(100 * histogram.flushedShare(scale: scale), 1)) % to 0, \(fixed(100 * histogram.subnormalShare(scale: scale), 1)) % subnormal"
        shapes.append(WebPage.text(132, 14, share))
        return WebPage.drawing(height: 90, shapes)
    }
}
