#!/usr/bin/env python3
"""Trains LeNet-300-100 (784-300-100-10, ReLU) on Fashion-MNIST and writes the resources of `Benchmarks model`.

    python3 Scripts/train_lenet.py [--data FOLDER] [--output FOLDER] [--seed N]

Needs numpy and Debian's package dataset-fashion-mnist (or a folder with its four .gz files). Writes
    lenet-300-100-fashion-mnist.safetensors    fc1, fc2, fc3 .weight [outputs, inputs] and .bias, float32
    t10k-first-2000-images-idx3-ubyte.gz       the first 2,000 test images, as IDX
    t10k-first-2000-labels-idx1-ubyte.gz       and their labels
Adam (Kingma and Ba 2015), learning rate 1e-3 with cosine decay, 12 epochs, batch 128. Pixels are scaled to 0…1.
"""
import argparse, gzip, json, math, os, struct, sys
import numpy as np

SIZES = (784, 300, 100, 10)


def read_idx(path):
    with gzip.open(path, "rb") as file:
        zero, kind, dimensions = struct.unpack(">HBB", file.read(4))
        if (zero, kind) != (0, 8):
            sys.exit(f"{path}: expected an IDX file of unsigned bytes, found type {kind:#x}")
        shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
        data = np.frombuffer(file.read(), np.uint8)
    if data.size != math.prod(shape):
        sys.exit(f"{path}: expected {math.prod(shape)} bytes, found {data.size}")
    return data.reshape(shape)


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    with open(path + ".part", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(header + array.tobytes())
    os.replace(path + ".part", path)


def write_safetensors(path, tensors, metadata):
    entries, offset = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        entries[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + b"".join(a.tobytes() for a in tensors.values()))
    os.replace(path + ".part", path)


def forward(layers, x):
    activations = [x]
    for index, (w, b) in enumerate(layers):
        x = x @ w.T + b
        if index + 1 < len(layers):
            x = np.maximum(x, 0)
        activations.append(x)
    return activations


def accuracy(layers, x, labels):
    return float((forward(layers, x)[-1].argmax(1) == labels).mean())


def train(x, labels, seed, epochs=12, batch=128, rate=1e-3):
    rng = np.random.default_rng(seed)
    bound = [1 / math.sqrt(k) for k in SIZES[:-1]]  # uniform in ±1/√K, PyTorch's default for linear layers
    layers = [[rng.uniform(-a, a, (n, k)).astype("f4"), rng.uniform(-a, a, n).astype("f4")] for a, k, n in zip(bound, SIZES, SIZES[1:])]
    first = [[np.zeros_like(p) for p in layer] for layer in layers]
    second = [[np.zeros_like(p) for p in layer] for layer in layers]
    steps, step = epochs * (len(x) // batch), 0
    for epoch in range(epochs):
        order, loss = rng.permutation(len(x)), 0.0
        for start in range(0, len(x) - batch + 1, batch):
            rows = order[start : start + batch]
            activations = forward(layers, x[rows])
            logits = activations[-1] - activations[-1].max(1, keepdims=True)
            gradient = np.exp(logits)
            gradient /= gradient.sum(1, keepdims=True)
            loss -= float(np.log(gradient[np.arange(batch), labels[rows]] + 1e-12).mean())
            gradient[np.arange(batch), labels[rows]] -= 1
            gradient /= batch
            step += 1
            now = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            for index in reversed(range(len(layers))):
                w, b = layers[index]
                gradients = gradient.T @ activations[index], gradient.sum(0)
                if index:
                    gradient = (gradient @ w) * (activations[index] > 0)
                for which, g in enumerate(gradients):
                    m, v = first[index][which], second[index][which]
                    m += 0.1 * (g - m)
                    v += 0.001 * (g * g - v)
                    layers[index][which] -= (now / (1 - 0.9**step) * m / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)).astype("f4")
        print(f"epoch {epoch + 1}/{epochs}  loss {loss / (len(x) // batch):.4f}", flush=True)
    return layers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the four .gz files")
    parser.add_argument("--output", default=os.path.join(os.path.dirname(__file__), "..", "Benchmarks", "Resources"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not os.path.isdir(arguments.data):
        sys.exit(f"{arguments.data}: expected the Fashion-MNIST files there (apt-get install dataset-fashion-mnist), found no such folder")
    read = lambda name: read_idx(os.path.join(arguments.data, name + ".gz"))
    images, labels = read("train-images-idx3-ubyte"), read("train-labels-idx1-ubyte")
    test_images, test_labels = read("t10k-images-idx3-ubyte"), read("t10k-labels-idx1-ubyte")
    scaled = lambda a: a.reshape(len(a), -1).astype("f4") / 255
    layers = train(scaled(images), labels, arguments.seed)
    whole, part = accuracy(layers, scaled(test_images), test_labels), accuracy(layers, scaled(test_images[:2000]), test_labels[:2000])
    print(f"test accuracy {whole:.4f} on 10,000 images, {part:.4f} on the first 2,000")
    tensors = {}
    for index, (w, b) in enumerate(layers, 1):
        tensors[f"fc{index}.weight"], tensors[f"fc{index}.bias"] = np.ascontiguousarray(w), b
    metadata = {
        "network": "LeNet-300-100, ReLU", "dataset": "Fashion-MNIST (Zalando Research, MIT licence)", "seed": str(arguments.seed),
        "test_accuracy": f"{whole:.4f}", "test_accuracy_first_2000": f"{part:.4f}", "input": "pixels / 255",
    }
    os.makedirs(arguments.output, exist_ok=True)
    path = lambda name: os.path.join(arguments.output, name)
    write_safetensors(path("lenet-300-100-fashion-mnist.safetensors"), tensors, metadata)
    write_idx(path("t10k-first-2000-images-idx3-ubyte.gz"), test_images[:2000])
    write_idx(path("t10k-first-2000-labels-idx1-ubyte.gz"), test_labels[:2000])


if __name__ == "__main__":
    main()
