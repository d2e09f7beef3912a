"""Proofs: the port (prover.py), the kernel's client, and an in-memory adapter that ships."""
