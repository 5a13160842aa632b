// Fields by type, and what linear layers have in common.

extension TensorArchiveWriter {
    public mutating func put(_ value: Int, named name: String) { put(.integer(value), named: name) }
    public mutating func put(_ value: Float, named name: String) { put(.number(Double(value)), named: name) }
    public mutating func put(_ value: String, named name: String) { put(.text(value), named: name) }

    /// Outputs, inputs, bias and activation.
    package mutating func put(shapeOf layer: some LinearLayer) {
        put(layer.outputs, named: "outputs")
        put(layer.inputs, named: "inputs")
        if layer.activation == .relu { put(.flag(true), named: "relu") }
        put(floats: layer.bias ?? [], named: "bias")
    }

    package mutating func put(_ quantization: ActivationQuantization) {
        guard case .fixed(let scale, let zeroPoint) = quantization else { return }
        put(scale, named: "inputScale")
        put(zeroPoint, named: "inputZeroPoint")
    }
}

/// What every linear layer has in an archive.
package struct LinearFields {
    package let outputs: Int
    package let inputs: Int
    package let bias: [Float]?
    package let activation: Activation
}

extension TensorArchiveReader {
    private func missing(_ expected: String, _ name: String) -> NumericsError {
        .invalidStructure(what: "field \(name)", expected: expected, found: value(named: name).map { "\($0)" } ?? "none")
    }

    /// - Throws: `NumericsError.invalidStructure` where there is no such field or it is no integer, as below.
    public func integer(named name: String) throws(NumericsError) -> Int {
        guard case .integer(let value) = value(named: name) else { throw missing("an integer", name) }
        return value
    }

    public func float(named name: String) throws(NumericsError) -> Float {
        switch value(named: name) {
        case .number(let value): return Float(value)
        case .integer(let value): return Float(value)
        default: throw missing("a number", name)
        }
    }

    public func text(named name: String) throws(NumericsError) -> String {
        guard case .text(let value) = value(named: name) else { throw missing("a text", name) }
        return value
    }

    /// False where there is none.
    public func flag(named name: String) throws(NumericsError) -> Bool {
        switch value(named: name) {
        case nil: return false
        case .flag(let value): return value
        default: throw missing("true or false", name)
        }
    }

    public func integers(named name: String, count: Int) throws(NumericsError) -> [Int] {
        guard case .integers(let values) = value(named: name), values.count == count else { throw missing("\(count) integers", name) }
        return values
    }

    /// Outputs and inputs of at most 2²⁸ each, their product at most 2³⁴.
    package func linearFields() throws(NumericsError) -> LinearFields {
        let outputs = try integer(named: "outputs"), inputs = try integer(named: "inputs"), most = 1 << 28
        guard (1...most).contains(outputs), (1...most).contains(inputs) else {
            throw .outOfRange(what: "outputs and inputs", allowed: "1…\(most)", found: "\(outputs) and \(inputs)")
        }
        _ = try checkedProduct(outputs, inputs, what: "weights of a layer", atMost: 1 << 34)
        let bias = try floats(named: "bias")
        return LinearFields(
            outputs: outputs, inputs: inputs, bias: bias.isEmpty ? nil : bias, activation: try flag(named: "relu") ? .relu : .none)
    }

    package func activationQuantization() throws(NumericsError) -> ActivationQuantization {
        guard value(named: "inputScale") != nil else { return .dynamic }
        return .fixed(scale: try float(named: "inputScale"), zeroPoint: try integer(named: "inputZeroPoint"))
    }

    /// A field whose text is the raw value of a case.
    package func choice<Choice: RawRepresentable & CaseIterable>(
        _: Choice.Type, named name: String
    ) throws(NumericsError) -> Choice where Choice.RawValue == String {
        let text = try text(named: name)
        guard let choice = Choice(rawValue: text) else {
            throw .unknown(what: "field \(name)", allowed: Choice.allCases.map(\.rawValue), found: text)
        }
        return choice
    }
}
