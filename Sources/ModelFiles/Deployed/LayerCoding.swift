internal import CompactNumerics

/// Layers of a deployed network to and from descriptions and bytes.
internal enum LayerCoding {
    typealias Contents = [(name: String, bytes: [UInt8])]

    /// Nil for a layer of a kind that is not this package's.
    static func encode(_ layer: any Layer) -> (LayerDescription, Contents)? {
        switch layer {
        case is ReLU: return (LayerDescription(.relu), [])
        case let layer as MaxPool: return (pooling(.maxPool, layer.windows), [])
        case let layer as AveragePool: return (pooling(.averagePool, layer.windows), [])
        case let layer as ScaleShift:
            var description = LayerDescription(.scaleShift)
            description.positions = (layer.inputCount ?? 0) / layer.scale.count
            return (description, [("scale", bytes(layer.scale)), ("shift", bytes(layer.shift))])
        case let layer as Convolution:
            guard let (linear, contents) = encode(linear: layer.linear) else { return nil }
            var description = linear
            description.windows = LayerDescription.list(layer.windows)
            return (description, contents)
        case let layer as any LinearLayer: return encode(linear: layer)
        default: return nil
        }
    }

    private static func pooling(_ kind: LayerDescription.Kind, _ windows: ImageWindows) -> LayerDescription {
        var description = LayerDescription(kind)
        description.windows = LayerDescription.list(windows)
        return description
    }

    private static func encode(linear layer: any LinearLayer) -> (LayerDescription, Contents)? {
        let bias = ("bias", bytes(layer.bias ?? []))
        switch layer {
        case let layer as Linear: return (LayerDescription(.linear, layer), [("weight", bytes(layer.weight)), bias])
        case let layer as HalfLinear:
            let format = layer.weight.format,
                values = layer.denseWeight().withUnsafeBufferPointer { values in
                    values.flatMap { value -> [UInt8] in
                        let bits = format == .fp16 ? FP16(value).bitPattern : BF16(value).bitPattern
                        return [UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8)]
                    }
                }
            return (LayerDescription(.half, layer, format: format.rawValue), [("weight", values), bias])
        case let layer as QuantizedLinear:
            var description = LayerDescription(.quantized, layer, format: layer.weight.scheme.description)
            if case .fixed(let scale, let zeroPoint) = layer.inputQuantization {
                (description.inputScale, description.inputZeroPoint) = (scale, zeroPoint)
            }
            return (description, quantized(layer.weight) + [bias])
        case let layer as WeightOnlyLinear:
            return (
                LayerDescription(.weightOnly, layer, format: layer.weight.scheme.description),
                quantized(layer.weight) + [("zeroPoints", layer.zeroPoints.map { UInt8(bitPattern: $0) }), bias]
            )
        case let layer as SparseLinear:
            var description = LayerDescription(.sparse, layer, format: layer.weight.shape.description)
            description.values = layer.weight.values.rawValue
            return (description, sparse(layer.denseWeight(), scales: layer.weight.outputScales) + [bias])
        case let layer as NMSparseLinear:
            var description = LayerDescription(.nOfM, layer, format: layer.weight.sparsity.description)
            description.values = layer.weight.values.rawValue
            return (description, sparse(layer.denseWeight(), scales: layer.weight.outputScales) + [bias])
        default: return nil
        }
    }

    private static func quantized(_ weight: QuantizedMatrix) -> Contents {
        let parts = weight.unpacked()
        return [
            ("codes", CodePacking.pack(parts.codes, bits: weight.scheme.bits)), ("multipliers", parts.multipliers.map { UInt8(bitPattern: $0) }),
            ("scales", bytes(parts.scales)),
        ]
    }

    // Weights that are stored as zeros are left out: they come back as pruned ones.
    private static func sparse(_ dense: Matrix, scales: [Float]) -> Contents {
        var places: [Int] = [], values: [Float] = [], codes: [UInt8] = []
        dense.withUnsafeBufferPointer { elements in
            for (place, value) in elements.enumerated() where value != 0 {
                places.append(place)
                if scales.isEmpty {
                    values.append(value)
                } else {
                    codes.append(UInt8(bitPattern: Int8((value / scales[place / dense.columns]).rounded(.toNearestOrEven))))
                }
            }
        }
        // One scale for all outputs is stored once.
        let distinct = Set(scales.map(\.bitPattern)).count == 1 ? [scales[0]] : scales
        return [("gaps", CodePacking.gaps(places)), ("codes", codes), ("values", bytes(values)), ("scales", bytes(distinct))]
    }

    private static func bytes(_ values: [Float]) -> [UInt8] { values.withUnsafeBytes(Array.init) }
    private static func bytes(_ matrix: Matrix) -> [UInt8] { matrix.withUnsafeBufferPointer { Array(UnsafeRawBufferPointer($0)) } }
}

// MARK: - Decoding

extension LayerCoding {
    /// `contents` gives the bytes of a tensor, none where it is absent.
    static func decode(_ description: LayerDescription, _ contents: (String) throws -> [UInt8]) throws -> any Layer {
        switch description.kind {
        case .relu: return ReLU()
        case .maxPool, .averagePool:
            guard let windows = try description.imageWindows() else { throw missing("windows") }
            return description.kind == .maxPool ? MaxPool(windows: windows) : AveragePool(windows: windows)
        case .scaleShift:
            return try ScaleShift(
                scale: floats(contents("scale")), shift: floats(contents("shift")), positions: description.positions ?? 1)
        default:
            let linear = try decodeLinear(description, contents)
            guard let windows = try description.imageWindows() else { return linear }
            return try Convolution(windows: windows, linear: linear)
        }
    }

    private static func missing(_ what: String) -> NumericsError {
        .invalidStructure(what: "description", expected: what, found: "none")
    }

    private static func decodeLinear(_ description: LayerDescription, _ contents: (String) throws -> [UInt8]) throws -> any LinearLayer {
        guard let n = description.outputs, let k = description.inputs, (1...1 << 28).contains(n), (1...1 << 28).contains(k), n * k <= 1 << 34 else {
            throw missing("outputs and inputs of 1…2²⁸")
        }
        let stored = try floats(contents("bias")), bias = stored.isEmpty ? nil : stored
        let activation = description.relu == true ? Activation.relu : .none
        switch description.kind {
        case .linear: return try Linear(weight: Matrix(rows: n, columns: k, elements: floats(contents("weight"))), bias: bias, activation: activation)
        case .half:
            guard let format = HalfMatrix.Format(rawValue: description.format ?? "") else { throw missing("f16 or bf16") }
            let bytes = try contents("weight")
            let values = stride(from: 0, to: bytes.count - 1, by: 2).map { at -> Float in
                let bits = UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
                return format == .fp16 ? FP16(bitPattern: bits).floatValue : BF16(bitPattern: bits).floatValue
            }
            let weight = try Matrix(rows: n, columns: k, elements: values)
            return HalfLinear(try Linear(weight: weight, bias: bias, activation: activation), format: format)
        case .quantized, .weightOnly: return try quantizedLayer(description, n, k, bias, activation, contents)
        default: return try sparseLayer(description, n, k, bias, activation, contents)
        }
    }

    private static func quantizedLayer(
        _ description: LayerDescription, _ n: Int, _ k: Int, _ bias: [Float]?, _ activation: Activation, _ contents: (String) throws -> [UInt8]
    ) throws -> any LinearLayer {
        let scheme = try QuantizationScheme(named: description.format ?? ""), packed = try contents("codes"), needed = (n * k * scheme.bits + 7) / 8
        guard packed.count == needed else {
            throw NumericsError.shapeMismatch(what: "bytes of codes", expected: "\(needed)", found: "\(packed.count)")
        }
        let matrix = try QuantizedMatrix(
            rows: n, columns: k, scheme: scheme, codes: CodePacking.unpack(packed, bits: scheme.bits, count: n * k),
            multipliers: contents("multipliers").map { Int8(bitPattern: $0) }, scales: floats(contents("scales")))
        if description.kind == .weightOnly {
            let zeroPoints = try contents("zeroPoints").map { Int8(bitPattern: $0) }
            return try WeightOnlyLinear(weight: matrix, zeroPoints: zeroPoints, bias: bias, activation: activation)
        }
        let input = description.inputScale.map { ActivationQuantization.fixed(scale: $0, zeroPoint: description.inputZeroPoint ?? 0) } ?? .dynamic
        return try QuantizedLinear(weight: matrix, bias: bias, activation: activation, inputQuantization: input)
    }

    private static func sparseLayer(
        _ description: LayerDescription, _ n: Int, _ k: Int, _ bias: [Float]?, _ activation: Activation, _ contents: (String) throws -> [UInt8]
    ) throws -> any LinearLayer {
        guard let kind = SparseValues(rawValue: description.values ?? "") else { throw missing("float32 or int8") }
        let gaps = try contents("gaps"), scales = try floats(contents("scales"))
        // The dense matrix that is built here: a byte of the file stands for at most 255 places, those behind the last weight are not stored.
        guard n * k <= 256 * (gaps.count + 1) + (1 << 26), let places = CodePacking.places(gaps, count: n * k) else {
            throw missing("places within \(n)×\(k)")
        }
        let values: [Float]
        if kind == .int8 {
            let codes = try contents("codes")
            guard codes.count == places.count, scales.count == n || scales.count == 1 else { throw missing("\(places.count) codes and \(n) scales") }
            values = zip(codes, places).map { Float(Int8(bitPattern: $0)) * scales[scales.count == 1 ? 0 : $1 / k] }
        } else {
            values = try floats(contents("values"))
            guard values.count == places.count else { throw missing("\(places.count) values") }
        }
        var dense = Matrix(rows: n, columns: k), keeps = [Bool](repeating: false, count: n * k)
        for (place, value) in zip(places, values) {
            dense[place / k, place % k] = value
            keeps[place] = true
        }
        let mask = try WeightMask(rows: n, columns: k, keeps: keeps)
        let format = (description.format ?? "").split { $0 == "x" || $0 == ":" }.compactMap { Int($0) }
        guard format.count == 2 else { throw missing("R×C or N:M") }
        if description.kind == .nOfM {
            let sparsity = try NMSparsity(kept: format[0], group: format[1])
            return try NMSparseLinear(
                weight: NMSparseMatrix(dense, mask: mask, sparsity: sparsity, values: kind), bias: bias, activation: activation)
        }
        let shape = try BlockShape(rows: format[0], columns: format[1])
        return try SparseLinear(
            weight: BlockSparseMatrix(dense, mask: mask, shape: shape, values: kind, sharesScale: scales.count == 1 && n > 1), bias: bias,
            activation: activation)
    }

    private static func floats(_ bytes: [UInt8]) throws -> [Float] {
        guard bytes.count % 4 == 0 else {
            throw NumericsError.shapeMismatch(what: "bytes of floats", expected: "a multiple of 4", found: "\(bytes.count)")
        }
        return bytes.withUnsafeBytes { raw in (0..<bytes.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) } }
    }
}
