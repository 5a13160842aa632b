internal import Foundation
internal import ModelFiles
internal import CompactNumerics

extension CompressionReport {
    /// Measures both networks.
    internal init(
        recipe: String, steps: [StepRecord], dense: TrainableNetwork, network: TrainableNetwork, deployed: Sequential, test: LabelledData,
        parallelism: Parallelism
    ) throws(CompressionError) {
        let before = try CompressionError.wrapping { try dense.deployed() }
        self.recipe = recipe
        self.steps = steps
        accuracyBefore = try evaluate(before, test, parallelism: parallelism)
        accuracyAfter = try evaluate(deployed, test, parallelism: parallelism)
        (bytesBefore, bytesAfter) = (before.byteCount, deployed.byteCount)
        layers = Self.layers(dense, before, network, deployed)
        latencies = [1, 32].map { LatencyReport(batch: $0, before, deployed, test, parallelism) }
        fileBytesBefore = try Self.fileBytes { path throws(CompressionError) in try dense.saveWeights(to: path) }
        fileBytesAfter = try Self.fileBytes { path throws(CompressionError) in
            try CompressionError.wrapping { try DeployedModel.write(deployed, to: path) }
        }
        func energy(_ sequential: Sequential, _ operations: [Int]) -> Double {
            zip(sequential.linearLayers, operations).reduce(0) {
                $0 + EnergyModel.microjoules(multiplyAdds: $1.1, weightBytes: $1.0.layer.byteCount, bits: $1.0.layer.operandBits)
            }
        }
        modelledMicrojoulesBefore = energy(before, layers.map(\.multiplyAddsBefore))
        modelledMicrojoulesAfter = energy(deployed, layers.map(\.multiplyAddsAfter))
    }

    private static func layers(
        _ dense: TrainableNetwork, _ before: Sequential, _ network: TrainableNetwork, _ deployed: Sequential
    ) -> [LayerReport] {
        zip(zip(dense.weightedLayers, before.linearLayers), zip(network.weightedLayers, deployed.linearLayers)).map { first, second in
            let (layer, small) = (first.0, second.0), held = second.1.layer
            let positions = small.multiplicationsPerSample / max(1, small.weight.value.count)
            return LayerReport(
                name: layer.name, form: held.form, weightsBefore: layer.weight.value.count,
                weightsAfter: small.weight.mask == nil ? held.multipliedWeights : held.nonzeroWeights, bytesBefore: first.1.layer.byteCount,
                bytesAfter: held.byteCount, multiplyAddsBefore: layer.multiplicationsPerSample, multiplyAddsAfter: held.multipliedWeights * positions)
        }
    }

    private static func fileBytes(_ write: (String) throws(CompressionError) -> Void) throws(CompressionError) -> Int {
        let path = NSTemporaryDirectory() + "compression-\(UUID().uuidString).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try write(path)
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.intValue ?? 0
    }
}

extension LinearLayer {
    /// The format of weights, for reports.
    internal var form: String {
        switch self {
        case let layer as QuantizedLinear: layer.weight.scheme.description
        case let layer as WeightOnlyLinear:
            layer.weight.scheme.description + (layer.zeroPoints.isEmpty ? ", weight-only" : ", weight-only, zero points")
        case let layer as HalfLinear: layer.weight.format.rawValue
        case let layer as SparseLinear: "sparse \(layer.weight.shape) \(layer.weight.values.rawValue)"
        case let layer as NMSparseLinear: "sparse \(layer.weight.sparsity) \(layer.weight.values.rawValue)"
        default: "float32"
        }
    }

    /// Weights that one row of activations is multiplied by: a dense layer multiplies by its zeros too.
    internal var multipliedWeights: Int {
        switch self {
        case let layer as SparseLinear: layer.weight.storedWeightCount
        case let layer as NMSparseLinear: layer.inputs * layer.outputs * layer.weight.sparsity.kept / layer.weight.sparsity.group
        default: inputs * outputs
        }
    }

    /// Weights other than 0 that the layer holds.
    internal var nonzeroWeights: Int { WeightMask(nonzerosOf: denseWeight()).keptCount }

    /// Bits of the factors of a multiplication.
    internal var operandBits: Int {
        switch self {
        case is QuantizedLinear: 8
        case let layer as SparseLinear: layer.weight.values == .int8 ? 8 : 32
        case let layer as NMSparseLinear: layer.weight.values == .int8 ? 8 : 32
        default: 32
        }
    }
}
