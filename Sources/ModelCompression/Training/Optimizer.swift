internal import CTraining
internal import Foundation

/// How a step follows from gradients.
public enum Optimizer: Sendable, Hashable, Codable {
    /// g += weightDecay · w; v = momentum · v + g; w −= rate · v, or with `nesterov` w −= rate · (g + momentum · v), as PyTorch defines it.
    case sgd(momentum: Float, weightDecay: Float, nesterov: Bool)
    /// Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019): w −= rate · (m̂ / (√v̂ + epsilon) + weightDecay · w).
    case adam(beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float)

    /// SGD with momentum 0.9.
    public static let sgd = Optimizer.sgd(momentum: 0.9, weightDecay: 0, nesterov: false)
    /// Adam with the constants of its paper.
    public static let adam = Optimizer.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0)

    /// - Throws: `CompressionError.outOfRange` for constants with which no training works.
    public func validate() throws(CompressionError) {
        switch self {
        case .sgd(let momentum, let decay, let nesterov):
            try Self.require("momentum", momentum, in: 0..<1, "0 ≤ momentum < 1")
            try Self.require("weight decay", decay, in: 0..<Float.infinity, "a finite number of at least 0")
            if nesterov && momentum == 0 {
                throw .outOfRange(what: "momentum", allowed: "more than 0 with Nesterov's rule", found: "0")
            }
        case .adam(let beta1, let beta2, let epsilon, let decay):
            try Self.require("beta1", beta1, in: 0..<1, "0 ≤ beta1 < 1")
            try Self.require("beta2", beta2, in: 0..<1, "0 ≤ beta2 < 1")
            try Self.require("epsilon", epsilon, in: Float.leastNormalMagnitude..<Float.infinity, "a positive, finite number")
            try Self.require("weight decay", decay, in: 0..<Float.infinity, "a finite number of at least 0")
        }
    }

    private static func require(_ what: String, _ value: Float, in range: Range<Float>, _ allowed: String) throws(CompressionError) {
        guard range.contains(value) else { throw .outOfRange(what: what, allowed: allowed, found: "\(value)") }
    }

    /// Moments for each parameter.
    internal var momentCount: Int {
        switch self {
        case .sgd: 1
        case .adam: 2
        }
    }

    /// Changes `parameter` by its gradient.
    ///
    /// - Parameters:
    ///   - rate: the learning rate.
    ///   - step: steps that this optimizer has made before, from 0: Adam corrects the bias of its moments by it.
    public func update(_ parameter: Parameter, rate: Double, step: Int) {
        parameter.requireMoments(momentCount)
        let (value, gradient, count) = (parameter.value.pointer, parameter.gradient.pointer, parameter.value.count)
        parameter.withMask { mask in
            switch self {
            case .sgd(let momentum, let decay, let nesterov):
                ck_sgd_step_f32(
                    value, gradient, parameter.moments[0].pointer, mask, count, Float(rate), momentum, parameter.decays ? decay : 0, nesterov ? 1 : 0)
            case .adam(let beta1, let beta2, let epsilon, let decay):
                let exponent = Double(step + 1)
                var constants = ck_adam()
                constants.rate = Float(rate / (1 - pow(Double(beta1), exponent)))
                (constants.first_decay, constants.second_decay, constants.epsilon) = (beta1, beta2, epsilon)
                constants.second_correction = Float(1 / (1 - pow(Double(beta2), exponent)).squareRoot())
                constants.weight_decay = parameter.decays ? Float(rate * Double(decay)) : 0
                ck_adam_step_f32(value, gradient, parameter.moments[0].pointer, parameter.moments[1].pointer, mask, count, &constants)
            }
        }
    }
}
