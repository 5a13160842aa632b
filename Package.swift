// swift-tools-version: 6.2
import PackageDescription

// Optimized in every build, also in a user's debug build, where plain C is 60 to 100 times slower and loops of Swift fill buffers at a
// third of the speed. Packages of tools version 6.2 may use unsafeFlags as versioned dependencies too
// (swiftlang/swift-package-manager#8876). In the environment, for this package's own CI: WARNINGS_AS_ERRORS=1, and SWIFT_DEBUG=1, which
// compiles Swift as the build configuration says.
// No product and sum is fused where the code does not say so: clang would do it where the target has FMA, as arm64 has, and bits would differ.
let warningsAreErrors = Context.environment["WARNINGS_AS_ERRORS"] == "1"
let optimizesSwift = Context.environment["SWIFT_DEBUG"] != "1"

let apple: [Platform] = [.macOS, .macCatalyst, .iOS, .tvOS, .visionOS]
let kernelSettings: [CSetting] = [.unsafeFlags(["-O3", "-ffp-contract=off"] + (warningsAreErrors ? ["-Wall", "-Wextra", "-Werror"] : []))]
let swiftSettings: [SwiftSetting] =
    (warningsAreErrors ? [.treatAllWarnings(as: .error)] : []) + [
        .swiftLanguageMode(.v6),
        .enableExperimentalFeature("Lifetimes"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("ExistentialAny"),
        // Accelerate's current headers: see Sources/CBLAS/shim.h.
        .unsafeFlags(["-Xcc", "-DACCELERATE_NEW_LAPACK=1"], .when(platforms: apple)),
    ]
let optimizedSwiftSettings = swiftSettings + (optimizesSwift ? [.unsafeFlags(["-O"])] : [])

// Accelerate brings BLAS and LAPACK on Apple's systems; elsewhere they are two libraries.
let notApple: [Platform] = [.linux, .android, .windows, .openbsd]
let blasLibraries: [LinkerSetting] = [
    .linkedLibrary("blas", .when(platforms: notApple)), .linkedLibrary("lapacke", .when(platforms: notApple)),
    .linkedFramework("Accelerate", .when(platforms: apple)),
]

let package = Package(
    name: "swift-model-compression",
    // Where Synchronization's atomics begin. watchOS has Int of 32 bits on most watches, which files and shapes here need more than.
    platforms: [.macOS(.v15), .macCatalyst(.v18), .iOS(.v18), .tvOS(.v18), .visionOS(.v2)],
    products: [
        .library(name: "CompactNumerics", targets: ["CompactNumerics"]),
        .library(name: "ModelFiles", targets: ["ModelFiles"]),
        .library(name: "ModelCompression", targets: ["ModelCompression"]),
    ],
    // Resolved only where Benchmarks is built: an app that depends on a library product fetches nothing but this package.
    dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")],
    targets: [
        .systemLibrary(name: "CBLAS", path: "Sources/CBLAS"),
        .target(name: "CKernels", exclude: ["dispatch/kernels.inc"], cSettings: kernelSettings),
        .target(
            name: "CompactNumerics", dependencies: ["CKernels", "CBLAS"], path: "Sources/Numerics",
            swiftSettings: optimizedSwiftSettings, linkerSettings: blasLibraries),
        .target(name: "ModelFiles", dependencies: ["CompactNumerics"], swiftSettings: optimizedSwiftSettings),
        .target(name: "CTraining", dependencies: ["CKernels"], exclude: ["loops.inc"], cSettings: kernelSettings),
        .target(
            name: "ModelCompression", dependencies: ["CompactNumerics", "ModelFiles", "CBLAS", "CKernels", "CTraining"],
            // Not copied as a folder: codesign refuses bundles for iOS with one of that name.
            resources: [.process("Resources")], swiftSettings: swiftSettings),
        .target(
            name: "CKernelsTestSupport", dependencies: ["CKernels"], path: "Tests/CKernelsTestSupport", cSettings: kernelSettings),
        .testTarget(
            name: "CKernelsTests", dependencies: ["CKernels", "CKernelsTestSupport"],
            resources: [.copy("Golden")], swiftSettings: swiftSettings),
        .testTarget(
            name: "NumericsTests", dependencies: ["CompactNumerics", "CKernels"], swiftSettings: swiftSettings),
        .testTarget(
            name: "ModelFilesTests", dependencies: ["ModelFiles", "CompactNumerics"], resources: [.copy("Golden")], swiftSettings: swiftSettings),
        .testTarget(
            name: "ModelCompressionTests", dependencies: ["ModelCompression", "ModelFiles", "CompactNumerics", "CTraining"],
            resources: [.copy("Golden")], swiftSettings: swiftSettings),
        .target(name: "CPeaks", dependencies: ["CKernels"], path: "Benchmarks/Peaks", cSettings: kernelSettings),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "CompactNumerics", "ModelFiles", "ModelCompression", "CKernels", "CPeaks",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks",
            exclude: ["Peaks"],
            resources: [.process("Resources")],
            swiftSettings: swiftSettings),
        .testTarget(name: "BenchmarksTests", dependencies: ["Benchmarks"], swiftSettings: swiftSettings),
    ],
    cLanguageStandard: .c11
)
