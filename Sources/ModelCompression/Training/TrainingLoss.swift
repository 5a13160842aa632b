internal import CompactNumerics
internal import CTraining

/// The samples of one step: their indices in the data, and their labels.
public struct Batch: Sendable {
    public let indices: [Int]
    public let labels: [Int]

    public init(indices: [Int], labels: [Int]) {
        (self.indices, self.labels) = (indices, labels)
    }
}

/// What training makes small. Distillation is another one: it knows the teacher's outputs by the batch's indices.
public protocol TrainingLoss: AnyObject {
    /// The mean loss over the batch of `logits` [batch, classes]; writes its gradient with respect to them into `gradient`, which has
    /// their shape already.
    func evaluate(_ logits: Tensor, batch: Batch, gradient: Tensor) -> Double

    /// What training changes besides the network's parameters, such as the regressors of hints; none by default. `evaluate` overwrites
    /// their gradients, which the loss scale does not touch.
    var parameters: [Parameter] { get }
    /// Gradients with respect to outputs of hidden layers, by index of the layer, as the last `evaluate` left them; none by default.
    var hiddenGradients: [(layer: Int, gradient: Tensor)] { get }
}

extension TrainingLoss {
    public var parameters: [Parameter] { [] }
    public var hiddenGradients: [(layer: Int, gradient: Tensor)] { [] }
}

/// −log softmax(logits)[label], computed in float64.
public final class CrossEntropy: TrainingLoss {
    public init() {}

    public func evaluate(_ logits: Tensor, batch: Batch, gradient: Tensor) -> Double {
        trapUnless(batch.labels.count == logits.rows, "labels of a batch: expected \(logits.rows), found \(batch.labels.count)")
        guard logits.rows > 0 else { return 0 }
        let factor = 1 / Float(logits.rows)
        let sum = batch.labels.withUnsafeBufferPointer { labels in
            labels.withMemoryRebound(to: Int64.self) {
                ck_cross_entropy_f32(logits.pointer, logits.rows, logits.columns, $0.baseAddress!, factor, gradient.pointer)
            }
        }
        return sum / Double(logits.rows)
    }
}

/// The share of samples in `data` whose largest output is that of their class, without training.
///
/// - Throws: `CompressionError.shapeMismatch` unless the network takes such samples and gives one output for each class.
public func evaluate(
    _ network: TrainableNetwork, _ data: LabelledData, arithmetic: Arithmetic = .float32, threads: Int = 1
) throws(CompressionError) -> Double {
    try requireMatch(network, data)
    guard data.count > 0 else { throw .outOfRange(what: "samples to evaluate", allowed: "at least 1", found: "0") }
    guard threads >= 1 else { throw .outOfRange(what: "threads", allowed: "at least 1", found: "\(threads)") }
    let context = TrainingContext(arithmetic: arithmetic, parallelism: .init(threads: threads))
    let labels = data.labels.map(Int64.init)
    let input = Tensor()
    var correct = 0
    var start = 0
    while start < data.count {
        let count = min(500, data.count - start)
        input.reshape(rows: count, columns: data.inputs.columns)
        data.inputs.withUnsafeBufferPointer { input.pointer.update(from: $0.baseAddress! + start * input.columns, count: input.count) }
        let logits = network.forward(input, context: context)
        correct += labels.withUnsafeBufferPointer {
            ck_count_correct_f32(logits.pointer, count, logits.columns, $0.baseAddress! + start)
        }
        start += count
    }
    return Double(correct) / Double(data.count)
}

internal func requireMatch(_ network: TrainableNetwork, _ data: LabelledData) throws(CompressionError) {
    guard data.shape.count == network.inputShape.count else {
        throw .shapeMismatch(what: "samples", expected: "\(network.inputShape), as the network takes", found: "\(data.shape)")
    }
    guard data.classes == network.outputCount else {
        throw .shapeMismatch(what: "classes", expected: "\(network.outputCount), the outputs of the network", found: "\(data.classes)")
    }
}
