import Foundation
import ModelFiles
import Testing

/// Names are UTF-8, and a header of any shape is read in linear time. Times are printed; the limits only tell linear from quadratic.
@Suite struct SafetensorsNameTests {
    /// é as one scalar and as two: equal as Swift's strings, different as UTF-8.
    private static let composed = "\u{E9}", decomposed = "e\u{301}"

    @Test func twoSpellingsAreTwoNames() throws {
        #expect(Self.composed == Self.decomposed)
        try withTemporaryFolder { folder in
            let path = "\(folder)/names", metadata: SafetensorsMetadata = [Self.composed: "one", Self.decomposed: "two"]
            try SafetensorsFile.write(
                [
                    TensorContent(name: Self.composed, type: .u8, shape: [1], bytes: [1]),
                    TensorContent(name: Self.decomposed, type: .u8, shape: [2], bytes: [2, 2]),
                ], metadata: metadata, to: path)
            let file = try SafetensorsFile(path: path)
            let (one, two) = try (file.floats(named: Self.composed), file.floats(named: Self.decomposed))
            #expect(one == [1] && two == [2, 2])
            #expect(file.metadata[Self.composed] == "one" && file.metadata[Self.decomposed] == "two" && file.metadata.count == 2)
            #expect(file.metadata.holds("one", named: Self.composed) && !file.metadata.holds("one", named: Self.decomposed))
            #expect(file.tensors[0] != file.tensors[1] && Set(file.tensors).count == 2)
            #expect(file.contains(Self.composed) && !file.contains("e"))
        }
        // Only one of them is there: the other is not found.
        try withFile(safetensors("{\"\(Self.composed)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", data: [1])) { path in
            let file = try SafetensorsFile(path: path)
            #expect(throws: ModelFileError.self) { try file.floats(named: Self.decomposed) }
        }
        let error = try #require(throws: ModelFileError.self) {
            try SafetensorsFile.write([Self.composed, "\u{E9}"].map { TensorContent(name: $0, type: .u8, shape: [0], bytes: []) }, to: "/nowhere/x")
        }
        #expect(error.kind == .mismatch && error.found == "one in use")
    }

    @Test func metadataChanges() {
        var metadata: SafetensorsMetadata = ["a": "1", "b": "2", "c": "3"]
        metadata["b"] = "two"
        metadata["d"] = "4"
        metadata["a"] = nil
        metadata["absent"] = nil
        #expect(metadata == ["b": "two", "c": "3", "d": "4"] && metadata.names == ["b", "c", "d"])
        #expect(metadata.dictionary == ["b": "two", "c": "3", "d": "4"] && metadata == SafetensorsMetadata(metadata.dictionary))
        #expect(metadata != ["b": "2", "c": "3", "d": "4"] && metadata != ["b": "two", "c": "3"] && metadata["a"] == nil)
    }

    /// Quadratic readers need 7 s for 80 kB, and hours for this.
    @Test(.timeLimit(.minutes(10)), arguments: ["name", "two names", "metadata", "dtype", "member"])
    func combiningMarks(place: String) throws {
        // Marks of alternating combining classes, so that normalization has to sort them.
        let marks = String(repeating: "\u{301}\u{316}", count: 750_000), members = #""dtype":"U8","shape":[0],"data_offsets":[0,0]"#
        let header =
            switch place {
            case "name": "{\"\(marks)\":{\(members)}}"
            case "two names": "{\"\(marks)a\":{\(members)},\"\(marks)b\":{\(members)}}"
            case "metadata": "{\"__metadata__\":{\"\(marks)\":\"\(marks)\",\"kind\":\"\(marks)b\"},\"t\":{\(members)}}"
            case "dtype": #"{"t":{"dtype":"\#(marks)","shape":[0],"data_offsets":[0,0]}}"#
            default: "{\"t\":{\"\(marks)\":1,\(members)}}"
            }
        try withFile(safetensors(header)) { path in
            let seconds = try time("\(header.utf8.count) bytes with combining marks in \(place)") {
                guard place != "dtype" && place != "member" else {
                    let error = try #require(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
                    return expectGoodMessage(error, path: path)
                }
                let file = try SafetensorsFile(path: path)
                #expect(!file.contains(marks + "c") && !file.metadata.holds("kind", named: "kind"))
                #expect(
                    place == "metadata" ? file.metadata[marks]?.utf8.count == marks.utf8.count : file.tensors[0].name.utf8.count >= marks.utf8.count)
            }
            #expect(seconds < 60)
        }
    }

    /// The same in what a deployed network's file says and holds.
    @Test(.timeLimit(.minutes(10))) func combiningMarksInDeployedNetworks() throws {
        let marks = String(repeating: "\u{301}\u{316}", count: 750_000), kind = "swift-model-compression deployed network"
        let files: [(SafetensorsMetadata, String)] = [
            (["kind": marks], "w"), (["kind": kind, "schema": "2", "layers": "[]", "deflated": "{}"], marks),
        ]
        for (metadata, name) in files {
            try withTemporaryFolder { folder in
                let path = "\(folder)/deployed"
                try SafetensorsFile.write([TensorContent(name: name, type: .u8, shape: [0], bytes: [])], metadata: metadata, to: path)
                let error = try #require(throws: ModelFileError.self) { try DeployedModel.read(from: path) }
                expectGoodMessage(error, path: path)
            }
        }
    }

    /// Tensors in the worst order: the last comes first. Without bytes each has the place of all others, so names alone say which comes first.
    @Test(arguments: [(300_000, false), (1_000_000, false), (1_000_000, true)])
    func manyTensors(count: Int, hasData: Bool) throws {
        let template =
            hasData
            ? #""layers.#######.weight":{"dtype":"U8","shape":[1],"data_offsets":[#######,@@@@@@@]},"#
            : #""layers.#######.weight":{"dtype":"U8","shape":[0],"data_offsets":[1000000,1000000]},"#
        let first = #""first":{"dtype":"U8","shape":[1000000],"data_offsets":[0,1000000]}}"#
        let header = Array("{".utf8) + repeated(template, (0..<count).reversed()) + Array(first.utf8)
        let data = [UInt8](repeating: 9, count: 1_000_000) + (hasData ? repeated("#", 0..<count) : [])
        try withFile(safetensors(header, data: data)) { path in
            try time("a header of \(header.count) bytes, \(count) tensors\(hasData ? "" : " without bytes")") {
                let file = try SafetensorsFile(path: path)
                #expect(file.tensors.count == count + 1)
                for index in stride(from: 0, to: count, by: count / 10) {
                    // Tensors without bytes come before the next one at their place, and the first one before all.
                    let name = "layers.\(1_000_000 + index).weight"
                    #expect(file.tensors[index + 1].name == name)
                    #expect(try file.bytes(named: name) == (hasData ? [UInt8(ascii: "0") + UInt8(index % 10)] : []))
                }
            }
        }
    }

    /// The longest header that the format allows.
    @Test(arguments: ["tensors", "one name", "metadata", "escapes", "numbers"])
    func longestHeader(of what: String) throws {
        let limit = 100_000_000, tensor = #"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#
        let (begin, template, end) =
            switch what {
            case "tensors": ("{\"first\":\(tensor)", ",\"encoder.layers.#######.attention\":\(tensor)", "}")
            case "one name": ("{\"", String(repeating: "x", count: 1000), "\":\(tensor)}")
            case "metadata": ("{\"__metadata__\":{\"\":\"\"", ",\"#######\":\"\"", "}}")
            case "escapes": ("{\"", String(repeating: "\\n", count: 500), "\":\(tensor)}")
            default: (#"{"t":{"dtype":"F32","data_offsets":[0,0],"shape":[0"#, String(repeating: ",1", count: 500), "]}}")
            }
        let count = (limit - begin.utf8.count - end.utf8.count) / template.utf8.count
        var header = Array(begin.utf8) + repeated(template, 0..<count) + Array(end.utf8)
        header += [UInt8](repeating: UInt8(ascii: " "), count: limit - header.count)
        try withFile(safetensors(header)) { path in
            try time("a header of 100 MB of \(what)") {
                let file = try SafetensorsFile(path: path)
                #expect(
                    what == "metadata"
                        ? file.metadata.count == count + 1 : what == "tensors" ? file.tensors.count == count + 1 : file.tensors.count == 1)
            }
        }
    }

    /// Seconds of this thread, which do not depend on what else the machine does.
    @discardableResult
    private func time(_ what: String, _ body: () throws -> Void) rethrows -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        let start = now()
        try body()
        let seconds = now() - start
        print("SafetensorsNameTests: \(what): \(String(format: "%.2f", seconds)) s")
        return seconds
    }
}
