"""Train a small convolutional network on the mounted digits and save it: train_digits.py DATA MODEL.pt [EPOCHS]."""

import json
import sys
import time
from pathlib import Path

import torch
from torch import nn


def load(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The images below `folder` as N x 1 x 8 x 8 in 0..1, and their digits, which are the names of their folders."""
    images, labels = [], []
    for path in sorted(folder.glob("*/*.pgm")):
        header, pixels = path.read_bytes().split(b"\n", 1)
        kind, width, height, levels = header.split()
        if kind != b"P5":
            raise SystemExit(f"{path} is not a binary PGM image")
        grey = torch.tensor(list(pixels), dtype=torch.float32) / int(levels)
        images.append(grey.reshape(1, int(height), int(width)))
        labels.append(int(path.parent.name))
    if not images:
        raise SystemExit(f"there are no images below {folder}")
    return torch.stack(images), torch.tensor(labels)


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 12
    torch.manual_seed(7)
    train_x, train_y = load(data / "train")
    test_x, test_y = load(data / "test")
    print(f"{len(train_x)} images to train on, {len(test_x)} to test, torch {torch.__version__}", flush=True)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    loss_of = nn.CrossEntropyLoss()
    accuracy = 0.0
    began = time.monotonic()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(train_x)).split(64):
            optimizer.zero_grad()
            loss = loss_of(model(train_x[batch]), train_y[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        with torch.no_grad():
            accuracy = (model(test_x).argmax(1) == test_y).float().mean().item()
        print(f"epoch {epoch:2d}/{epochs}  loss {total / len(train_x):.4f}  accuracy {accuracy:.4f}", flush=True)
    torch.save(model.state_dict(), out)
    seconds = round(time.monotonic() - began, 2)
    print(json.dumps({"accuracy": round(accuracy, 4), "epochs": epochs, "seconds": seconds, "model": str(out)}))


if __name__ == "__main__":
    main()
