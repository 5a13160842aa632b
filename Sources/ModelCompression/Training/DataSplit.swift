extension LabelledData {
    /// The samples in random order.
    public func shuffled(seed: UInt64) -> LabelledData {
        var order = Array(0..<count), generator = SeededGenerator(seed: seed)
        generator.shuffle(&order)
        return selecting(order)
    }

    /// Two parts of the samples, drawn at random: of each class the share `testShare` is for testing, within one sample; one of each class stays for
    /// training, and a class of two or more is tested where the number of samples allows it. Both parts are in random order.
    ///
    /// - Parameter testShare: of all samples, rounded to a number of samples.
    /// - Throws: `CompressionError.outOfRange` for a share outside 0…1, and where a part would be empty.
    public func split(testShare: Double = 0.2, seed: UInt64 = 0) throws(CompressionError) -> (training: LabelledData, test: LabelledData) {
        guard testShare > 0, testShare < 1 else {
            throw .outOfRange(what: "share of test samples", allowed: "more than 0, less than 1", found: "\(testShare)")
        }
        var order = Array(0..<count), generator = SeededGenerator(seed: seed)
        generator.shuffle(&order)
        let sizes = order.reduce(into: [Int](repeating: 0, count: classes)) { $0[labels[$1]] += 1 }
        var quotas = Self.testQuotas(sizes, total: Int((testShare * Double(count)).rounded()), share: testShare)
        var parts: (training: [Int], test: [Int]) = ([], [])
        for index in order {
            if quotas[labels[index]] > 0 {
                quotas[labels[index]] -= 1
                parts.test.append(index)
            } else {
                parts.training.append(index)
            }
        }
        guard !parts.training.isEmpty, !parts.test.isEmpty else {
            throw .outOfRange(
                what: "samples to split", allowed: "enough for both parts at a share of \(testShare)", found: "\(count) of \(classes) classes")
        }
        return (selecting(parts.training), selecting(parts.test))
    }

    // Whole samples first, then one more for the classes of the largest remainders until the total is reached (Hamilton's method).
    private static func testQuotas(_ sizes: [Int], total: Int, share: Double) -> [Int] {
        var quotas = sizes.map { min(Int(Double($0) * share), max(0, $0 - 1)) }
        var missing = total - quotas.reduce(0, +)
        let byRemainder = sizes.indices.sorted { left, right in
            let (a, b) = (Double(sizes[left]) * share - Double(quotas[left]), Double(sizes[right]) * share - Double(quotas[right]))
            return a != b ? a > b : left < right
        }
        for index in byRemainder where missing > 0 && quotas[index] < sizes[index] - 1 {
            quotas[index] += 1
            missing -= 1
        }
        return quotas
    }
}
