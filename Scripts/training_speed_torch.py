#!/usr/bin/env python3
"""Images per second in training with PyTorch, to be read beside `swift run -c release Benchmarks training`.

    python3 -m venv .cache/torch && .cache/torch/bin/pip install torch numpy
    .cache/torch/bin/python Scripts/training_speed_torch.py [--threads 1] [--batch 128] [--images 6400] [--epochs 7]

The same networks, batches and optimizer; PyTorch in its usual form, with the fused Adam, and for convolutions with channels last as well.
"""
import argparse
import statistics
import time

import torch
from torch import nn

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
for name, default in [("threads", 1), ("batch", 128), ("images", 6400), ("epochs", 7)]:
    parser.add_argument(f"--{name}", type=int, default=default)
options = parser.parse_args()
torch.set_num_threads(options.threads)
images, labels = torch.rand(options.images, 1, 28, 28), torch.arange(options.images) % 10


def lenet_300_100():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def lenet_5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def images_per_second(network, inputs, fused):
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=fused or None)
    loss = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(options.epochs + 1):  # the first is not counted
        start = time.perf_counter()
        order = torch.randperm(options.images)
        for first in range(0, options.images, options.batch):
            batch = order[first:first + options.batch]
            optimizer.zero_grad()
            loss(network(inputs[batch]), labels[batch]).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return options.images / statistics.median(seconds[1:])


for name, make in [("LeNet-300-100", lenet_300_100), ("LeNet-5", lenet_5)]:
    print(f"{name:14} torch {torch.__version__}: {images_per_second(make(), images, False):10.0f} images/s")
    print(f"{name:14} fused Adam: {images_per_second(make(), images, True):15.0f} images/s")
    if name == "LeNet-5":
        network = make().to(memory_format=torch.channels_last)
        rate = images_per_second(network, images.contiguous(memory_format=torch.channels_last), True)
        print(f"{name:14} channels last, fused Adam: {rate:10.0f} images/s")
