internal import CompactNumerics
internal import ModelFiles

extension TrainableNetwork {
    /// Writes parameters and running statistics as float32 under their names, biases as vectors: the file that PyTorch's `state_dict` of
    /// such a network makes, but for convolutions, whose weights are [outputs, window height · window width · channels].
    ///
    /// - Throws: `CompressionError.file` if the system refuses.
    public func saveWeights(to path: String) throws(CompressionError) {
        let stored = storedNumbers
        try CompressionError.wrapping {
            let contents = stored.map { name, values in
                if values.rows > 1 { return TensorContent(name: name, matrix: values.matrix) }
                let bytes = UnsafeRawBufferPointer(start: values.pointer, count: values.count * MemoryLayout<Float>.stride)
                return TensorContent(name: name, type: .f32, shape: [values.count], bytes: Array(bytes))
            }
            try SafetensorsFile.write(contents, metadata: ["network": fingerprint], to: path)
        }
    }

    /// Reads what `saveWeights` wrote, or another safetensors file with tensors of these names and as many numbers. Masks are kept, so
    /// masked numbers stay 0. Nothing changes if it fails.
    ///
    /// - Throws: `CompressionError.otherNetwork` where a tensor is absent or of another size, `.notFinite` for NaN or infinity in it,
    ///   `.file` if the file cannot be read.
    public func loadWeights(from path: String) throws(CompressionError) {
        let file = try CompressionError.wrapping { try SafetensorsFile(path: path) }
        var loaded: [[Float]] = []
        for (name, values) in storedNumbers {
            let found = file.tensors.first { $0.name == name }
            guard let found, found.count == values.count else {
                throw .otherNetwork(
                    path: path, expected: "a tensor \"\(name)\" of \(values.count) numbers", found: found.map { "\($0.shape)" } ?? "none")
            }
            let numbers = try CompressionError.wrapping { try file.floats(named: name) }
            if let wrong = numbers.firstIndex(where: { !$0.isFinite }) {
                throw .notFinite(what: "\(path): tensor \"\(name)\"", row: wrong / max(1, values.columns), column: wrong % max(1, values.columns))
            }
            loaded.append(numbers)
        }
        for ((_, values), numbers) in zip(storedNumbers, loaded) { values.pointer.update(from: numbers, count: numbers.count) }
        for parameter in parameters { parameter.applyMask() }
    }

    private var storedNumbers: [(name: String, values: Tensor)] {
        parameters.map { ($0.name, $0.value) } + layers.flatMap(\.statistics)
    }
}
