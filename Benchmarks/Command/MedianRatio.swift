/// The ratio of the medians of two lists of times, with an interval that holds the true one 95 times of 100.
///
/// A unit is the median of a turn, because runs of one turn share what disturbs them. The interval is a bootstrap (Efron 1979): 1,000 times, with
/// random numbers that are the same in every run, files are drawn with replacement and then turns of each, and the middle 95 % of the ratios of
/// medians are kept. Two runs of a program differ by more than the turns of one, so that several files a side say more than one.
struct MedianRatio {
    let ratio: Double
    let interval: ClosedRange<Double>

    private static let draws = 1000

    /// Times of two sides: lists for each file of lists for each turn, at least one time each. The ratio is above 1 where `after` is faster.
    init(before: [[[Double]]], after: [[[Double]]]) {
        let sides = [before, after].map { files in files.map { turns in turns.filter { !$0.isEmpty }.map(median) } }
        var random = RandomNumbers(seed: 11)
        let ratios = (0..<Self.draws).map { _ in Self.draw(sides[0], &random) / Self.draw(sides[1], &random) }.sorted()
        ratio = median(sides[0].flatMap { $0 }) / median(sides[1].flatMap { $0 })
        let tail = Self.draws / 40
        // The middle of what was drawn may miss the ratio itself by a step where there are few turns.
        interval = min(ratio, ratios[tail])...max(ratio, ratios[Self.draws - 1 - tail])
    }

    /// The median of as many files as there are, drawn with replacement, each of as many turns as it has.
    private static func draw(_ files: [[Double]], _ random: inout RandomNumbers) -> Double {
        var drawn: [Double] = []
        for _ in files {
            let file = files[random.index(below: files.count)]
            for _ in file { drawn.append(file[random.index(below: file.count)]) }
        }
        return median(drawn)
    }
}

extension RandomNumbers {
    /// 0..<count, for counts far below 2³².
    mutating func index(below count: Int) -> Int { (Int(next() >> 32) * count) >> 32 }
}
