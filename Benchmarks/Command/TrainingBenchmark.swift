import ArgumentParser
import CompactNumerics
import ModelCompression

struct Training: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Images per second in training of LeNet-300-100 and LeNet-5.",
        discussion: """
            Forward and backward passes and Adam over shuffled mini-batches of images of 28×28 pixels, here random ones, which take as long as \
            others. The figure is that of the median epoch, in turn for both networks. Scripts/training_speed_torch.py measures the same in PyTorch.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "Images in a mini-batch.")
    var batch = 128

    @Option(help: "Images in an epoch.")
    var images = 6400

    func run() throws {
        try shared.check()
        guard batch >= 1, images >= batch, images <= 1 << 20 else {
            throw BenchmarkError("--batch and --images: expected 1 ≤ batch ≤ images ≤ \(1 << 20), found \(batch) and \(images)")
        }
        try shared.withReport { report in
            let data = try randomImages(images)
            let networks = [("LeNet-300-100", try TrainableNetwork.lenet300100()), ("LeNet-5", try TrainableNetwork.lenet5())]
            let configuration = TrainerConfiguration(
                epochs: 1, batchSize: batch, optimizer: .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0), threads: shared.threads)
            nonisolated(unsafe) var failure: (any Error)?
            let times = timings(
                networks.map { name, network in
                    TimedCall(name: name) {
                        do { _ = try Trainer(network, data: data, configuration: configuration).run() } catch { failure = error }
                    }
                }, seconds: shared.seconds, threads: shared.threads, progress: Progress("training"))
            if let failure { throw failure }
            let table = Table([("network", 14), ("batch", 6), ("images/s", 10), ("µs per image", 12)])
            for ((name, _), time) in zip(networks, times) {
                let rate = Double(images) / time.seconds
                table.row([name, "\(batch)", fixed(rate, 0), fixed(1e6 / rate, 1)])
                report.add(Measurement(case: "batch \(batch)", name: name, figure: rate, unit: "images/s", timing: time))
            }
        }
    }

    private func randomImages(_ count: Int) throws -> LabelledData {
        var random = RandomNumbers(seed: 7)
        let pixels = Matrix(rows: count, columns: 784) { _, _ in random.uniform() }
        return try LabelledData(
            inputs: pixels, labels: (0..<count).map { $0 % 10 }, classes: 10, shape: SampleShape(height: 28, width: 28, channels: 1))
    }
}
