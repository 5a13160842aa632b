internal import CompactNumerics
internal import CKernels
internal import CTraining
internal import Foundation
internal import ModelFiles

// A checkpoint is one safetensors file. Tensors: "value/NAME", "moment0/NAME", "moment1/NAME", "mask/NAME", "statistics/NAME"; everything
// else is metadata, and a checksum over both tells a damaged file from a sound one.

extension Trainer {
    private static let kind = "swift-model-compression checkpoint", schema = 2
    /// Schema 1 had its number in the kind, and no checksum of the data.
    private static let firstKind = "swift-model-compression checkpoint 1"

    /// Writes everything that the rest of the run depends on: numbers, moments, masks, running statistics, position, loss scale, history.
    /// The file appears complete or not at all; one that was at `path` stays until then.
    ///
    /// - Throws: `CompressionError.file` if the system refuses.
    public func saveCheckpoint(to path: String) throws(CompressionError) {
        try CompressionError.wrapping {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            func json(_ value: some Encodable) throws -> String { String(decoding: try encoder.encode(value), as: UTF8.self) }
            var metadata = [
                "kind": Self.kind, "schema": "\(Self.schema)", "network": network.fingerprint, "configuration": try json(configuration),
                "state": try json(state), "hooks": try json(hooks.map(\.checkpointState)), "data": dataChecksum,
            ]
            let tensors = storedTensors()
            let masks = parameters.compactMap { parameter in parameter.mask.map { ("mask/" + parameter.name, $0) } }
            metadata["checksum"] = Self.checksum(tensors.map { ($0.name, $0.values) }, masks, metadata)
            let contents =
                tensors.map { TensorContent(name: $0.name, matrix: $0.values.matrix) }
                + masks.map { TensorContent(name: $0.0, type: .u8, shape: [$0.1.count], bytes: $0.1) }
            try SafetensorsFile.write(contents, metadata: metadata, to: path)
        }
    }

    private func storedTensors() -> [(name: String, values: Tensor)] {
        let parameters = parameters.flatMap { parameter in
            [("value/" + parameter.name, parameter.value)]
                + parameter.moments.enumerated().map { ("moment\($0.offset)/" + parameter.name, $0.element) }
        }
        return parameters + network.layers.flatMap { $0.statistics.map { ("statistics/" + $0.name, $0.values) } }
    }

    /// Goes on where a checkpoint was written, with the same bits as if the run had not been interrupted. Nothing changes if it fails.
    ///
    /// - Throws: `CompressionError.otherNetwork` for a checkpoint of another network, configuration, data or number of hooks, `.damagedFile` where its contents contradict themselves, `.file` if it cannot be read or is no safetensors file.
    public func resume(from path: String) throws {
        let file = try CompressionError.wrapping { try SafetensorsFile(path: path) }
        let restored = try readState(file)
        var contents: [String: Tensor] = [:]
        var masks: [String: [UInt8]] = [:]
        for tensor in file.tensors {
            try CompressionError.wrapping {
                if tensor.name.hasPrefix("mask/") {
                    masks[tensor.name] = try file.bytes(named: tensor.name)
                } else {
                    contents[tensor.name] = Tensor(try file.matrix(named: tensor.name))
                }
            }
        }
        let found = Self.checksum(contents.map { ($0.key, $0.value) }, masks.map { ($0.key, $0.value) }, file.metadata.dictionary)
        guard file.metadata.holds(found, named: "checksum") else {
            throw CompressionError.damagedFile(
                path: path, what: "checksum", expected: file.metadata["checksum"] ?? "one in the metadata", found: found)
        }
        try requireTensors(contents, masks, path: path)
        for (hook, saved) in zip(hooks, restored.hooks) { if let saved { try hook.restore(checkpointState: saved) } }
        apply(contents, masks)
        state = restored.state
    }

    private func requireSchema(_ file: SafetensorsFile) throws(CompressionError) {
        let kind = file.metadata["kind"] ?? "none"
        guard file.metadata.holds(Self.kind, named: "kind") || file.metadata.holds(Self.firstKind, named: "kind") else {
            throw .damagedFile(path: file.path, what: "kind of file", expected: Self.kind, found: kind)
        }
        let number = kind == Self.firstKind ? "1" : file.metadata["schema"] ?? "none"
        guard let found = Int(number), (1...Self.schema).contains(found) else {
            throw .damagedFile(path: file.path, what: "schema of a checkpoint", expected: "1…\(Self.schema)", found: number)
        }
    }

    private func readState(_ file: SafetensorsFile) throws(CompressionError) -> (state: RunState, hooks: [String?]) {
        let metadata = file.metadata
        try requireSchema(file)
        guard metadata.holds(network.fingerprint, named: "network") else {
            throw .otherNetwork(path: file.path, expected: "a checkpoint of \(network.fingerprint)", found: metadata["network"] ?? "none")
        }
        func decode<Value: Decodable>(_ name: String, _: Value.Type) throws(CompressionError) -> Value {
            guard let value = try? JSONDecoder().decode(Value.self, from: Data((metadata[name] ?? "").utf8)) else {
                throw .damagedFile(path: file.path, what: "metadata \"\(name)\"", expected: "JSON of it", found: metadata[name] ?? "none")
            }
            return value
        }
        if let data = metadata["data"], data != dataChecksum {
            throw .otherNetwork(path: file.path, expected: "a run on these samples (\(dataChecksum))", found: "one on others (\(data))")
        }
        let configuration = try decode("configuration", TrainerConfiguration.self)
        guard configuration == self.configuration else {
            throw .otherNetwork(path: file.path, expected: "a run of \(self.configuration)", found: "one of \(configuration)")
        }
        let state = try decode("state", RunState.self), hooks = try decode("hooks", [String?].self)
        guard state.samples == data.count, hooks.count == self.hooks.count else {
            throw .otherNetwork(
                path: file.path, expected: "a run on \(data.count) samples with \(self.hooks.count) hooks",
                found: "one on \(state.samples) with \(hooks.count)")
        }
        guard state.isConsistent(epochs: configuration.epochs, stepsPerEpoch: stepsPerEpoch) else {
            throw .damagedFile(
                path: file.path, what: "state",
                expected: "a position in \(configuration.epochs) epochs of \(stepsPerEpoch) steps, and counts that fit it",
                found: metadata["state"] ?? "none")
        }
        return (state, hooks)
    }

    private func requireTensors(_ contents: [String: Tensor], _ masks: [String: [UInt8]], path: String) throws(CompressionError) {
        func require(_ name: String, like tensor: Tensor) throws(CompressionError) {
            let found = contents[name]
            guard let found, found.rows == tensor.rows, found.columns == tensor.columns else {
                throw .damagedFile(
                    path: path, what: "tensor \"\(name)\"", expected: "\(tensor.rows)×\(tensor.columns)",
                    found: found.map { "\($0.rows)×\($0.columns)" } ?? "none")
            }
            let wrong = ck_first_not_finite_f32(found.pointer, found.count)
            if wrong < found.count {
                throw .damagedFile(path: path, what: "tensor \"\(name)\"", expected: "finite numbers", found: "\(found.pointer[wrong])")
            }
        }
        for parameter in parameters {
            try require("value/" + parameter.name, like: parameter.value)
            // All or none: pruning forgets them when it takes up other weights.
            let moments = (0..<configuration.optimizer.momentCount).map { "moment\($0)/" + parameter.name }
            if moments.contains(where: { contents[$0] != nil }) {
                for name in moments { try require(name, like: parameter.value) }
            }
            if let mask = masks["mask/" + parameter.name], mask.count != parameter.value.count {
                throw .damagedFile(
                    path: path, what: "mask of \(parameter.name)", expected: "\(parameter.value.count) entries", found: "\(mask.count)")
            }
        }
        for layer in network.layers {
            for statistic in layer.statistics { try require("statistics/" + statistic.name, like: statistic.values) }
        }
    }

    private func apply(_ contents: [String: Tensor], _ masks: [String: [UInt8]]) {
        for parameter in parameters {
            // The mask comes last: setting it changes numbers only where the file holds zeros already.
            parameter.mask = nil
            if let value = contents["value/" + parameter.name] { parameter.value.assign(value) }
            parameter.moments = (0..<configuration.optimizer.momentCount).compactMap { contents["moment\($0)/" + parameter.name] }
            parameter.mask = masks["mask/" + parameter.name]
        }
        for layer in network.layers {
            for statistic in layer.statistics { contents["statistics/" + statistic.name].map(statistic.values.assign) }
        }
    }

    internal static func checksum(
        _ tensors: [(String, Tensor)], _ masks: [(String, [UInt8])], _ metadata: [String: String]
    ) -> String {
        var sum = Checksum()
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where key != "checksum" {
            sum.add(key)
            sum.add(value)
        }
        for (name, tensor) in tensors.sorted(by: { $0.0 < $1.0 }) {
            sum.add(name)
            sum.add(tensor.pointer, count: tensor.count)
        }
        for (name, mask) in masks.sorted(by: { $0.0 < $1.0 }) {
            sum.add(name)
            sum.add(mask)
        }
        return sum.text
    }
}
