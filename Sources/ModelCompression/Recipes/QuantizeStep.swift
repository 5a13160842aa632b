/// Quantization in a recipe, without training.
public struct RecipeQuantization: Sendable, Hashable, Codable {
    public var configuration: QuantizationConfiguration

    public init(_ configuration: QuantizationConfiguration) {
        self.configuration = configuration
    }

    /// All but `format` may be absent; `calibration` is a name, `calibrationShare` the number of a moving average or percentile. An option that has
    /// no effect beside the others is an error.
    public init(from decoder: any Decoder) throws {
        let fields = try StrictFields(decoder, of: "quantization", names: QuantizationConfiguration.names)
        configuration = try QuantizationConfiguration(fields)
        try fields.requireAllRead()
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: StrictFields.Key.self)
        try configuration.encode(into: &container)
    }
}

extension RecipeQuantization: RecipeStep {
    static let name = "quantize"

    func check(_ plan: inout RecipePlan) throws(CompressionError) {
        try configuration.validate(for: plan.network, pruned: plan.pruned)
        plan.isQuantized = true
    }

    func make(_ run: CompressionRun, index: Int) throws { try run.deploy() }
}

extension QuantizationConfiguration {
    internal static let names = [
        "format", "layerFormats", "activations", "calibration", "rounding", "weights", "foldsBatchNormalization", "equalizesLayers", "correctsBias",
        "samples", "calibrationShare",
    ]

    private static let calibrations: [(name: String, value: CalibrationMethod)] = [
        ("minMax", .minMax), ("movingAverage", .movingAverage()), ("percentile", .percentile()), ("meanSquaredError", .meanSquaredError),
        ("entropy", .entropy),
    ]

    internal init(_ fields: StrictFields) throws {
        let other = QuantizationConfiguration(format: .float32)
        self.init(
            format: try fields.required("format"), layerFormats: try fields.value("layerFormats", or: [:]),
            activations: try fields.value("activations", or: other.activations), rounding: try fields.value("rounding", or: other.rounding),
            weights: try fields.value("weights", or: other.weights),
            foldsBatchNormalization: try fields.value("foldsBatchNormalization", or: other.foldsBatchNormalization),
            equalizesLayers: try fields.value("equalizesLayers", or: other.equalizesLayers),
            correctsBias: try fields.value("correctsBias", or: other.correctsBias))
        if activations.isStatic { calibration = try Self.calibration(fields) }
        if needsData { samples = try fields.value("samples", or: other.samples) }
    }

    private static func calibration(_ fields: StrictFields) throws -> CalibrationMethod {
        switch try fields.choice("calibration", or: "minMax", calibrations) {
        case .movingAverage(let share): .movingAverage(share: try fields.value("calibrationShare", or: share))
        case .percentile(let outside): .percentile(outside: try fields.value("calibrationShare", or: outside))
        case let method: method
        }
    }

    internal func encode(into container: inout KeyedEncodingContainer<StrictFields.Key>) throws {
        try container.put("format", format)
        try container.put("layerFormats", layerFormats)
        try container.put("activations", activations)
        if activations.isStatic {
            switch calibration {
            case .movingAverage(let share):
                try container.put("calibration", "movingAverage")
                try container.put("calibrationShare", share)
            case .percentile(let outside):
                try container.put("calibration", "percentile")
                try container.put("calibrationShare", outside)
            case .minMax, .meanSquaredError, .entropy:
                try container.put("calibration", Self.calibrations.first { $0.value == calibration }?.name)
            }
        }
        try container.put("rounding", rounding)
        try container.put("weights", weights)
        try container.put("foldsBatchNormalization", foldsBatchNormalization)
        try container.put("equalizesLayers", equalizesLayers)
        try container.put("correctsBias", correctsBias)
        if needsData { try container.put("samples", samples) }
    }
}
