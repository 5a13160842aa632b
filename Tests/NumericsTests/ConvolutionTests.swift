import CompactNumerics
import Testing

@Suite struct ConvolutionTests {
    /// Images go through in chunks: each comes out as alone, for batches around a multiple of a chunk, twice through one workspace.
    @Test(arguments: [1, 3, 4, 7, 23]) func chunksDoNotChangeImages(batch: Int) throws {
        var generator = SeededGenerator()
        let windows = try ImageWindows(height: 28, width: 28, channels: 1, windowHeight: 5, windowWidth: 5, padding: 2)
        let linear = try Linear(weight: generator.matrix(6, 25), bias: generator.numbers(6))
        let layers: [any LinearLayer] = [try QuantizedLinear(linear, scheme: .w8a8), linear]
        for layer in layers {
            let convolution = try Convolution(windows: windows, linear: layer), images = generator.matrix(batch, 784)
            var workspace = Workspace(), y = Matrix(rows: batch, columns: 784 * 6)
            for _ in 0..<2 { convolution.apply(images, into: &y, workspace: &workspace, parallelism: .serial) }
            for image in [0, batch / 2, batch - 1] {
                let alone = convolution(Matrix(rows: 1, columns: 784) { images[image, $1] })
                for column in 0..<784 * 6 {
                    let (a, b) = (alone[0, column], y[image, column])
                    #expect(abs(a - b) <= 1e-5 * (1 + abs(a)), "seed \(generator.seed)")
                }
            }
        }
    }
}
