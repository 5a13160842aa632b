import Foundation
import Testing

@testable import Benchmarks

/// The study's finding, from the JSON that it writes.
@Suite struct PrecisionStudyTests {
    private struct Row: Decodable {
        let name: String
        let accuracies: [Double]
        let notes: String
    }

    @Test func halfPrecisionLosesOnDigitsAndScalingRestores() throws {
        let path = NSTemporaryDirectory() + "precision-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try PrecisionStudy.parse(["--json", path]).run()
        let rows = try JSONDecoder().decode([Row].self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(rows.count == 12)
        // A run that diverged has no accuracy: that of guessing.
        func accuracy(_ setting: Substring, _ run: String) throws -> Double {
            let row = try #require(rows.first { $0.name.hasPrefix(setting) && $0.name.hasSuffix(": " + run) })
            #expect(row.accuracies.count == 1 || row.notes.contains("diverged"))
            return row.accuracies.first ?? 0.1
        }
        for run in ["FP32", "TF32", "BF16", "FP16", "FP16, dynamic scaling", "FP16, scale 1,024"] {
            #expect(try accuracy("plain", run) > 0.85, "plain: \(run)")
        }
        let float = try accuracy("batch", "FP32")
        #expect(float > 0.85)
        for run in ["FP16, dynamic scaling", "FP16, scale 1,024"] { #expect(try abs(accuracy("batch", run) - float) < 0.05, "\(run)") }
        #expect(try accuracy("batch", "FP16") < float - 0.3)
    }
}
