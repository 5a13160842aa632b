// swift-tools-version: 6.2
import Foundation
import PackageDescription

// Debug builds compile C at -O0, which makes kernels 60 to 100 times slower. When this package is the root one
// (or a path dependency) the kernels are optimized in debug builds too; a versioned dependency may not use
// unsafeFlags, so there it does not ask for them (README: "Fast kernels in your own debug builds").
// WARNINGS_AS_ERRORS=1 in the environment, as CI sets it, is for this package alone.
let isVersionedDependency = Context.packageDirectory.contains("/checkouts/") || Context.packageDirectory.contains("/registry/")
let warningsAreErrors = !isVersionedDependency && Context.environment["WARNINGS_AS_ERRORS"] == "1"
let kernelSettings: [CSetting] =
    isVersionedDependency ? [] : [.unsafeFlags(["-O3"] + (warningsAreErrors ? ["-Wall", "-Wextra", "-Werror"] : []))]

let swiftSettings: [SwiftSetting] =
    (warningsAreErrors ? [.treatAllWarnings(as: .error)] : []) + [
        .swiftLanguageMode(.v6),
        .enableExperimentalFeature("Lifetimes"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("ExistentialAny"),
    ]

// Consumers of a versioned release resolve no further package: argument-parser serves only the executable.
let benchmarkDependencies: [Package.Dependency] =
    isVersionedDependency ? [] : [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")]
let benchmarkTargets: [Target] =
    isVersionedDependency
    ? []
    : [
        .target(name: "CPeaks", path: "Benchmarks/Peaks", cSettings: kernelSettings),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "CompactNumerics", "ModelFiles", "ModelCompression", "CKernels", "CPeaks",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks",
            exclude: ["Peaks"],
            resources: [.copy("Resources")],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "BenchmarksTests", dependencies: ["Benchmarks"], swiftSettings: swiftSettings),
    ]

let package = Package(
    name: "swift-model-compression",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "CompactNumerics", targets: ["CompactNumerics"]),
        .library(name: "ModelFiles", targets: ["ModelFiles"]),
        .library(name: "ModelCompression", targets: ["ModelCompression"]),
    ],
    dependencies: benchmarkDependencies,
    targets: [
        .systemLibrary(name: "CBLAS", path: "Sources/CBLAS"),
        .target(name: "CKernels", exclude: ["kernels.inc"], cSettings: kernelSettings),
        .target(
            name: "CompactNumerics", dependencies: ["CKernels", "CBLAS"], path: "Sources/Numerics",
            swiftSettings: swiftSettings),
        .target(name: "ModelFiles", dependencies: ["CompactNumerics"], swiftSettings: swiftSettings),
        .target(name: "CTraining", dependencies: ["CKernels"], cSettings: kernelSettings),
        .target(
            name: "ModelCompression", dependencies: ["CompactNumerics", "ModelFiles", "CBLAS", "CKernels", "CTraining"],
            resources: [.copy("Resources")], swiftSettings: swiftSettings),
        .target(
            name: "CKernelsTestSupport", dependencies: ["CKernels"], path: "Tests/CKernelsTestSupport", cSettings: kernelSettings),
        .testTarget(
            name: "CKernelsTests", dependencies: ["CKernels", "CKernelsTestSupport"],
            resources: [.copy("Golden")], swiftSettings: swiftSettings),
        .testTarget(
            name: "NumericsTests", dependencies: ["CompactNumerics", "CKernels"], swiftSettings: swiftSettings),
        .testTarget(name: "ModelFilesTests", dependencies: ["ModelFiles", "CompactNumerics"], swiftSettings: swiftSettings),
        .testTarget(
            name: "ModelCompressionTests", dependencies: ["ModelCompression", "ModelFiles", "CompactNumerics", "CTraining"],
            swiftSettings: swiftSettings),
    ] + benchmarkTargets,
    cLanguageStandard: .c11
)
