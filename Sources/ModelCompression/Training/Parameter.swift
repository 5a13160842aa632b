internal import CompactNumerics
internal import CTraining

/// Numbers that training changes, with their gradient and what the optimizer remembers about them.
public final class Parameter {
    /// Unique within a network: "fc1.weight".
    public let name: String
    /// The master copy, always float32.
    public let value: Tensor
    /// Shape of `value`; each backward pass overwrites it.
    public let gradient: Tensor
    /// Whether weight decay applies: to weights, not to biases and normalization.
    public let decays: Bool
    /// What the optimizer keeps between steps: velocity, or first and second moment. Empty before the first step.
    public internal(set) var moments: [Tensor] = []

    /// One entry for each number, nil for all ones: where it is 0, the number, its gradient's influence and its moments are and
    /// stay exactly 0.
    ///
    /// - Precondition: it has as many entries as `value` has elements.
    public var mask: [UInt8]? {
        didSet {
            trapUnless(
                mask == nil || mask?.count == value.count,
                "mask of \(name): expected \(value.count) entries, found \(mask?.count ?? 0)")
            applyMask()
        }
    }

    /// A parameter of the given numbers, which it owns from here on.
    public init(name: String, value: Tensor, decays: Bool) {
        (self.name, self.value, self.decays) = (name, value, decays)
        gradient = Tensor(rows: value.rows, columns: value.columns)
    }

    /// Sets masked numbers and moments to 0, for whoever writes into `value`.
    public func applyMask() {
        mask?.withUnsafeBufferPointer { mask in
            guard let mask = mask.baseAddress else { return }
            for tensor in [value] + moments { ck_apply_mask_f32(tensor.pointer, mask, tensor.count) }
        }
    }

    /// Numbers that the mask leaves.
    public var activeCount: Int { mask.map { $0.count { $0 != 0 } } ?? value.count }

    /// A parameter of its own with the same numbers, mask and moments.
    public func copy() -> Parameter {
        let copy = Parameter(name: name, value: value.copy(), decays: decays)
        copy.gradient.assign(gradient)
        copy.moments = moments.map { $0.copy() }
        copy.mask = mask
        return copy
    }

    /// Makes room for `count` moments of zeros where there are others.
    internal func requireMoments(_ count: Int) {
        guard moments.count != count else { return }
        moments = (0..<count).map { _ in Tensor(rows: value.rows, columns: value.columns) }
    }

    internal func withMask<Result>(_ body: (UnsafePointer<UInt8>?) -> Result) -> Result {
        mask?.withUnsafeBufferPointer { body($0.baseAddress) } ?? body(nil)
    }
}
