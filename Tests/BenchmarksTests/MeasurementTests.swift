import CompactNumerics
import Foundation
import Testing

@testable import Benchmarks

@Suite struct MeasurementTests {
    @Test func medians() {
        #expect(median([3]) == 3)
        #expect(median([9, 1, 5]) == 5)
        #expect(median([4, 1, 3, 2]) == 2.5)
    }

    @Test func callsAreTimedInTurn() {
        var order: [String] = []
        let calls = ["a", "b"].map { name in
            TimedCall(name: name) {
                order.append(name)
                usleep(2000)
            }
        }
        let seconds = medianSeconds(calls, seconds: 0.004, turns: 2)
        #expect(seconds.count == 2 && seconds.allSatisfy { $0 >= 0.002 })
        // Each of the two turns of each call has a warm-up and at least one counted run, and the turns alternate.
        let turns = order.reduce(into: [String]()) { if $0.last != $1 { $0.append($1) } }
        #expect(turns == ["a", "b", "a", "b"])
        #expect(order.count >= 8)
    }

    @Test func randomNumbersAreGaussianAndRepeat() {
        var random = RandomNumbers(seed: 9), again = RandomNumbers(seed: 9)
        let matrix = random.gaussianMatrix(rows: 100, columns: 100, deviation: 2)
        #expect(matrix == again.gaussianMatrix(rows: 100, columns: 100, deviation: 2))
        var sum = 0.0, squares = 0.0
        for row in 0..<100 {
            for column in 0..<100 {
                sum += Double(matrix[row, column])
                squares += Double(matrix[row, column]) * Double(matrix[row, column])
            }
        }
        // Standard errors of mean and variance of 10,000 numbers: 0.02 and 0.06.
        #expect(abs(sum / 10000) < 0.1)
        #expect(abs(squares / 10000 - 4) < 0.3)
    }

    @Test func errorsAreRelativeToFloat64() throws {
        var random = RandomNumbers(seed: 5)
        let x = random.gaussianMatrix(rows: 3, columns: 50, deviation: 1)
        let linear = try Linear(weight: random.gaussianMatrix(rows: 20, columns: 50, deviation: 1))
        let reference = Reference(x: x, weight: linear.weight)
        var y = linear(x)
        #expect(reference.relativeError(of: y) < 1e-6)
        for row in 0..<3 {
            for column in 0..<20 { y[row, column] *= 1.1 }
        }
        #expect(abs(reference.relativeError(of: y) - 0.1) < 1e-5)
    }

    @Test func reportsAreWrittenWholeOrNotAtAll() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("report-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let report = Report(machine: MachineDescription(parallelism: .serial))
        report.add(
            Measurement(
                case: "1x2x3", name: "w8a8", figure: 4, unit: "GOP/s", timing: Timing(turns: [[5, 3], [7]]), ratio_to_float32: 6, of_limit: 0.5))
        let path = folder.appendingPathComponent("report.json").path
        try report.write(to: path)
        let document = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) as? [String: Any])
        let machine = try #require(document["machine"] as? [String: Any])
        #expect(Set(machine.keys) == ["cpu", "isa", "blas", "threads"])
        let rows = try #require(document["rows"] as? [[String: Any]])
        let keys = Set(try #require(rows.first).keys)
        #expect(keys == ["case", "name", "figure", "unit", "median_seconds", "ratio_to_float32", "of_limit", "samples"])
        #expect(rows[0]["case"] as? String == "1x2x3" && rows[0]["figure"] as? Double == 4 && rows[0]["median_seconds"] as? Double == 5)
        #expect(rows[0]["samples"] as? [[Double]] == [[5, 3], [7]])
        #expect(throws: BenchmarkError.self) { try report.write(to: folder.appendingPathComponent("none/report.json").path) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["report.json"])
    }

    @Test func samplesAreBounded() {
        let timing = Timing(turns: [(0..<1000).map { Double($0) * 1e-3 }, [0.123456789012345]])
        #expect(timing.samples.map(\.count) == [20, 1] && timing.samples[0][1] == 0.05 && timing.samples[1] == [0.123456789])
        #expect(timing.seconds == 0.499)
    }
}

@Suite struct NetworkTests {
    @Test func theShippedNetworkIsAsAccurateAsItsFileSays() throws {
        let network = try Network()
        let test = try #require(network.test)
        #expect(test.images.rows == 2000 && test.labels.count == 2000)
        #expect(network.layers.map { [$0.linear.outputs, $0.linear.inputs] } == [[300, 784], [100, 300], [10, 100]])
        let accuracy = try Network.accuracy(network.layers.map(\.linear), images: test.images, labels: test.labels, .serial)
        // Its training script counted 1,795 right; another BLAS may decide a tie differently.
        #expect(abs(accuracy - 0.8975) <= 0.001)
        let quantized = try network.layers.map { try QuantizedLinear($0.linear, scheme: .w8a8) }
        let after = try Network.accuracy(quantized, images: test.images, labels: test.labels, .serial)
        #expect(abs(after - accuracy) <= 0.005)
    }

    @Test func rowsAreRepeated() throws {
        let matrix = try Matrix(rows: 2, columns: 2, elements: [1, 2, 3, 4])
        #expect(try matrix.repeatedRows(3) == Matrix(rows: 3, columns: 2, elements: [1, 2, 3, 4, 1, 2]))
    }
}
