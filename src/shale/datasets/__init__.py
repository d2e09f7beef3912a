"""Datasets: what a provider holds (catalogue), the pieces that hold it (kernel, car), and mounts of it for leases."""
