/// What a file is by its first bytes, for the message about a file of another format than the one expected.
internal enum FileSignature {
    /// As many first bytes as `format(of:)` looks at.
    static let byteCount = 512

    /// Magic numbers of the formats that models come in, as their specifications have them.
    private static let magics: [(bytes: [UInt8], format: String)] = [
        (Array("PK\u{3}\u{4}".utf8), "a ZIP archive, such as PyTorch's .pt and NumPy's .npz"),
        (Array("GGUF".utf8), "a GGUF file"),
        ([0x89] + Array("HDF\r\n\u{1A}\n".utf8), "an HDF5 file, such as Keras' .h5"),
        ([0x93] + Array("NUMPY".utf8), "a NumPy .npy file"),
        ([0x1F, 0x8B], "a file compressed by gzip"),
        ([0x28, 0xB5, 0x2F, 0xFD], "a file compressed by Zstandard"),
        // PROTO opcodes of protocols 2 to 5, as pickle writes them first.
        ([0x80, 2], pickle), ([0x80, 3], pickle), ([0x80, 4], pickle), ([0x80, 5], pickle),
    ]
    private static let pickle = "a Python pickle, such as PyTorch's older .pt and .bin"

    /// A name for what begins with `bytes`, or nil if they are unknown.
    static func format(of bytes: [UInt8]) -> String? {
        if let magic = magics.first(where: { bytes.starts(with: $0.bytes) }) { return magic.format }
        if bytes.dropFirst(4).starts(with: "TFL3".utf8) { return "a TensorFlow Lite file" }
        guard let text = text(of: bytes) else { return nil }
        if text.hasPrefix("version https://git-lfs.github.com/") { return "a Git LFS pointer in place of the file (git lfs pull fetches it)" }
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? text
        return "text that begins with \(String(line.unicodeScalars.prefix(40)).quoted)"
    }

    /// The bytes as text, or nil if they are none. The last character may be cut.
    private static func text(of bytes: [UInt8]) -> String? {
        guard !bytes.isEmpty, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || [0x09, 0x0A, 0x0D].contains($0) }) else { return nil }
        for cut in 0..<min(4, bytes.count) {
            if let text = String(validating: bytes.dropLast(cut), as: UTF8.self) { return text }
        }
        return nil
    }
}
