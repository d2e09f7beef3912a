"""Datasets: what a provider holds (catalogue), the pieces that hold it (kernel, scan), and mounts of it for leases."""
