"""Benchmarks: what Shale costs, beside a peer measured in the same run; `make bench [PART=…]`."""
