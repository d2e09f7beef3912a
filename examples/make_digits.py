"""Write scikit-learn's handwritten digits (UCI, 1797 images, 8x8) as image files: OUT/{train,test}/<digit>/<n>.pgm."""

import sys
from pathlib import Path

from sklearn.datasets import load_digits


def main() -> None:
    out = Path(sys.argv[1])
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        # Every fifth image is kept for the test, so that the split is the same everywhere.
        folder = out / ("test" if number % 5 == 0 else "train") / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = bytes(int(value) for row in image for value in row)
        (folder / f"{number:04d}.pgm").write_bytes(b"P5 8 8 16\n" + pixels)
    (out / "README.txt").write_text("Handwritten digits, 8x8, 16 grey levels, from scikit-learn (UCI ML repository).\n")


if __name__ == "__main__":
    main()
