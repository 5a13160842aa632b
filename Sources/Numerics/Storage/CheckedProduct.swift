/// The product of sizes that come from outside: the one place that multiplies them.
///
/// - Throws: `NumericsError.outOfRange` for a negative factor and for a product above `limit`, which overflow never passes.
package func checkedProduct(_ factors: Int..., what: String, atMost limit: Int = .max) throws(NumericsError) -> Int {
    func wrong(_ allowed: String) -> NumericsError {
        .outOfRange(what: what, allowed: allowed, found: factors.map(String.init).joined(separator: "×"))
    }
    if factors.contains(where: { $0 < 0 }) { throw wrong("at least 0") }
    if factors.contains(0) { return 0 }
    var product = 1
    for factor in factors {
        let (next, overflow) = product.multipliedReportingOverflow(by: factor)
        guard !overflow, next <= limit else { throw wrong("at most \(limit) in all") }
        product = next
    }
    return product
}
