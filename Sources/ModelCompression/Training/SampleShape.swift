/// The shape of one sample: an image with channels innermost (NHWC), or a vector, which is 1 × 1 × `channels`.
public struct SampleShape: Sendable, Hashable, Codable, CustomStringConvertible {
    public let height: Int
    public let width: Int
    public let channels: Int

    /// Numbers of one sample; `Int.max` where there are more.
    public var count: Int {
        let (pixels, first) = height.multipliedReportingOverflow(by: width), (numbers, second) = pixels.multipliedReportingOverflow(by: channels)
        return first || second ? .max : numbers
    }

    public init(height: Int, width: Int, channels: Int) {
        (self.height, self.width, self.channels) = (height, width, channels)
    }

    /// A vector.
    public init(_ count: Int) {
        self.init(height: 1, width: 1, channels: count)
    }

    public var description: String { height == 1 && width == 1 ? "\(channels)" : "\(height)×\(width)×\(channels)" }
}
