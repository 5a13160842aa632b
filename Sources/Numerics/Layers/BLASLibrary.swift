internal import CBLAS
internal import Foundation
internal import Synchronization

/// The BLAS that float32 layers run on: which one it is, and how many threads it uses.
///
/// OpenBLAS starts threads of its own. Float32 layers must run with as many as everything else, so its thread count is set
/// through `openblas_set_num_threads`, looked up at run time because other libraries do not have it. Accelerate can be told to use one thread or as many as it
/// likes (`BLASSetThreading`, macOS 15, iOS 18; a setting of the calling thread, which stays). Other libraries obey their environment variables alone.
public enum BLASLibrary {
    /// int BLASSetThreading(BLAS_THREADING): 0 for as many threads as it likes, 1 for one (thread_api.h of vecLib).
    private typealias SetThreading = @convention(c) (UInt32) -> Int32
    private typealias SetThreads = @convention(c) (Int32) -> Void
    private typealias GetText = @convention(c) () -> UnsafePointer<CChar>?

    #if canImport(Accelerate)
        private static let setThreading = symbol("BLASSetThreading").map { unsafeBitCast($0, to: SetThreading.self) }
    #endif

    private static let threadCount: BLASThreadCount? = symbol("openblas_set_num_threads").map {
        let setThreads = unsafeBitCast($0, to: SetThreads.self)
        return BLASThreadCount { setThreads(Int32($0)) }
    }

    private static func symbol(_ name: String) -> UnsafeMutableRawPointer? {
        // Null asks for the symbols of everything that is loaded.
        dlsym(dlopen(nil, RTLD_NOW), name)
    }

    /// Makes BLAS calls use this many threads, where the library can be told.
    package static func use(_ parallelism: Parallelism) {
        #if canImport(Accelerate)
            _ = setThreading?(parallelism.threads == 1 ? 1 : 0)
        #else
            threadCount?.use(parallelism.threads)
        #endif
    }

    /// Name, version and kernel of the library, such as "OpenBLAS 0.3.21 … Zen"; where it does not tell, its file.
    public static let description: String = {
        #if canImport(Accelerate)
            return "Accelerate"
        #else
            if let config = symbol("openblas_get_config"), let text = unsafeBitCast(config, to: GetText.self)() {
                let words = String(cString: text).split(separator: " ").prefix(2).joined(separator: " ")
                return words + (core.map { " " + $0 } ?? "")
            }
            return isReference ? "reference BLAS (\(file))" : file
        #endif
    }()

    /// The processor that OpenBLAS chose its kernels for, such as "Zen"; nil for other libraries.
    package static let core: String? = symbol("openblas_get_corename").flatMap { unsafeBitCast($0, to: GetText.self)() }.map { String(cString: $0) }

    /// The instruction set of the kernels for a core that OpenBLAS names: "avx2" or "avx512", nil for older and unknown ones.
    package static func set(ofCore core: String) -> String? {
        switch core.lowercased() {
        case "haswell", "zen": "avx2"
        case "skylakex", "cooperlake", "sapphirerapids": "avx512"
        default: nil
        }
    }

    /// That of this library; nil where it does not tell.
    package static let set = core.flatMap(set(ofCore:))

    /// Whether this is the unoptimized reference library, some 40 times slower than OpenBLAS: no baseline to compare with.
    public static let isReference: Bool = {
        #if canImport(Accelerate)
            return false
        #else
            // MKL and BLIS are recognized by functions of their own; nothing else installs itself as libblas.
            return symbol("openblas_get_config") == nil && symbol("mkl_get_version_string") == nil && symbol("bli_info_get_version_str") == nil
        #endif
    }()

    // The file that is mapped as libblas. (dladdr would tell, but glibc declares it to GNU sources alone.)
    private static let file: String = {
        let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
        let paths = maps.split(separator: "\n").compactMap { $0.split(separator: " ").last.map(String.init) }
        return paths.first { $0.contains("/libblas") || $0.contains("blas/") } ?? "unknown BLAS"
    }()
}

/// The number of threads that a library was told last. Telling it takes long, so it is told changes alone; telling and noting are one step, or
/// of two threads the one could tell last and the other note last, and the wrong number would stay.
package final class BLASThreadCount: Sendable {
    private let told = Atomic<Int>(0)
    private let telling = Mutex<Void>(())
    private let tell: @Sendable (Int) -> Void

    package init(tell: @escaping @Sendable (Int) -> Void) {
        self.tell = tell
    }

    /// Tells `threads` unless that is what was told last.
    package func use(_ threads: Int) {
        guard told.load(ordering: .acquiring) != threads else { return }  // no lock where nothing changes
        telling.withLock { _ in
            guard told.load(ordering: .relaxed) != threads else { return }
            tell(threads)
            told.store(threads, ordering: .releasing)
        }
    }

    /// What was told last; 0 before that.
    package var current: Int { told.load(ordering: .acquiring) }
}
