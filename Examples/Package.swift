// swift-tools-version: 6.2
import PackageDescription

// A package that depends on swift-model-compression the way a user's does. Here by path; yours says
// .package(url: "https://github.com/OWNER/swift-model-compression", from: "1.0.0").
let package = Package(
    name: "CompressedInference",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "swift-model-compression", path: "..")],
    targets: [
        .executableTarget(
            name: "CompressedInference",
            dependencies: [
                .product(name: "CompactNumerics", package: "swift-model-compression"),
                .product(name: "ModelFiles", package: "swift-model-compression"),
            ])
    ]
)
