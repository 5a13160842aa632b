import Testing

@testable import ModelCompression

@Suite struct LatencyTests {
    /// Nine rounds of 100 calls around 1 ms, the 99th of each 1.2 ms, sorted by nobody.
    private func rounds() -> [[Double]] {
        var generator = SeededGenerator(seed: 5)
        return (0..<9).map { _ in
            var round = (0..<98).map { 0.9 + 0.2 * Double($0) / 97 } + [1.2, 1.3]
            generator.shuffle(&round)
            return round
        }
    }

    @Test func percentilesOfQuietRounds() {
        #expect(LatencyReport.percentile(0.99, ofRounds: rounds()) == 1.2)
        #expect(abs(LatencyReport.percentile(0.5, ofRounds: rounds()) - 1) < 0.01)
        #expect(LatencyReport.percentile(0.99, ofRounds: [[3]]) == 3)
        #expect(LatencyReport.percentile(0.5, ofRounds: [[1, 2], [3, 4], [5, 6]]) == 3)
    }

    @Test func disturbedRoundsAreNotInThePercentile() {
        var disturbed = rounds()
        disturbed[0][7] = 1393
        for round in 1..<4 { disturbed[round] = disturbed[round].map { $0 * 1000 } }
        #expect(LatencyReport.percentile(0.99, ofRounds: disturbed) <= 1.3)
        #expect(LatencyReport.percentile(0.5, ofRounds: disturbed) < 1.1)
        // What disturbs all rounds is in it.
        let slow = rounds().map { round in round.enumerated().map { $0.offset < 3 ? 50 : $0.element } }
        #expect(LatencyReport.percentile(0.99, ofRounds: slow) == 50)
    }

    @Test func roundsTakeABoundedTime() {
        #expect(LatencyReport.callsPerRound(millisecondsOfBoth: 0.01) == 100)
        #expect(LatencyReport.callsPerRound(millisecondsOfBoth: 0) == 100)
        #expect(LatencyReport.callsPerRound(millisecondsOfBoth: 10) == 22)
        #expect(LatencyReport.callsPerRound(millisecondsOfBoth: 500) == 10)
    }
}
