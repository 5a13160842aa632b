import CompactNumerics
import Foundation
@testable import ModelFiles
import Testing

/// Files of each schema, committed when it was the current one, with the outputs that the network had then.
@Suite struct GoldenFileTests {
    private func golden(_ name: String) throws -> String {
        try #require(Bundle.module.url(forResource: "Golden/\(name)", withExtension: "safetensors")).path
    }

    @Test(arguments: 1...2) func filesOfEachSchemaAreRead(schema: Int) throws {
        let read = try DeployedModel.read(from: golden("deployed-\(schema)")), network = try Sequential(GoldenNetwork.layers(schema: schema))
        let outputs = try SafetensorsFile(path: golden("deployed-\(schema)-outputs"))
        #expect(read.layers.count == network.layers.count && outputs.tensors.count == read.layers.count)
        var input = GoldenNetwork.input
        for (place, layer) in read.layers.enumerated() {
            let expected = try outputs.matrix(named: "\(place)"), found = layer(input)
            let largest = expected.withUnsafeBufferPointer { $0.reduce(0) { max($0, abs($1)) } }
            for row in 0..<expected.rows {
                for column in 0..<expected.columns {
                    let (a, b) = (expected[row, column], found[row, column])
                    #expect(abs(a - b) <= 1e-5 * largest, "layer \(place), \(type(of: layer)), [\(row), \(column)]: \(a) \(b)")
                }
            }
            input = expected
        }
    }

    /// Codes and scales of sparse layers of schema 1 are taken as they stand there.
    @Test func sparseCodesOfSchemaOneAreExact() throws {
        let read = try DeployedModel.read(from: golden("deployed-1")), network = try Sequential(GoldenNetwork.layers(schema: 1))
        var compared = 0
        for (a, b) in zip(network.layers, read.layers) {
            if let a = a as? SparseLinear, let b = b as? SparseLinear {
                #expect(a.denseWeight() == b.denseWeight() && a.weight.blockArrays().scales == b.weight.blockArrays().scales)
                compared += 1
            }
            if let a = a as? NMSparseLinear, let b = b as? NMSparseLinear {
                #expect(a.weight.arrays() == b.weight.arrays())
                compared += 1
            }
        }
        #expect(compared == 6)
    }

    @Test(arguments: ["3", "0", "-1", "two", ""]) func otherSchemasAreRefused(schema: String) throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/network.safetensors"
            try SafetensorsFile.write([], metadata: ["kind": DeployedModel.kind, "schema": schema, "layers": "[]", "deflated": "{}"], to: path)
            let error = #expect(throws: ModelFileError.self) { try DeployedModel.read(from: path) }
            #expect(error?.kind == .unsupported && error?.expected == "1 to 2, which this version reads" && error?.found == "\"\(schema)\"")
        }
    }

    /// A file names the layout of its weights; without a name it is the one that there was before.
    @Test(arguments: [nil, "row-major", "panel16x4", ""]) func otherLayoutsAreRefused(layout: String?) throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/network.safetensors"
            var metadata = ["kind": DeployedModel.kind, "schema": "2", "layers": "[]", "deflated": "{}"]
            metadata["layout"] = layout
            try SafetensorsFile.write([], metadata: metadata, to: path)
            if layout == nil || layout == "row-major" {
                #expect(try DeployedModel.read(from: path).layers.isEmpty)
                return
            }
            let error = #expect(throws: ModelFileError.self) { try DeployedModel.read(from: path) }
            #expect(error?.kind == .unsupported && error?.what == "layout of weights" && error?.expected == "\"row-major\"")
        }
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["GOLDEN_FOLDER"] != nil))
    func filesAreWritten() throws {
        try GoldenNetwork.write(schema: 2, to: #require(ProcessInfo.processInfo.environment["GOLDEN_FOLDER"]))
    }
}
