"""`passthrough.py FILE DIR`: a file as the only one of a FUSE file system by mfusepy, read with pread and no more."""

import os
import sys

import mfusepy


class Passthrough(mfusepy.Operations):
    def __init__(self, file: str) -> None:
        self.file = os.path.abspath(file)
        self.names = [".", "..", os.path.basename(file)]
        self.size = os.stat(file).st_size

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        if path == "/":
            return {"st_mode": 0o40555, "st_nlink": 2}
        return {"st_mode": 0o100444, "st_nlink": 1, "st_size": self.size}

    def readdir(self, path: str, fh: int) -> list[str]:
        return self.names

    def open(self, path: str, flags: int) -> int:
        return os.open(self.file, os.O_RDONLY)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0


mfusepy.FUSE(Passthrough(sys.argv[1]), sys.argv[2], foreground=True, ro=True)
