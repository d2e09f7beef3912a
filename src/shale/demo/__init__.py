"""The demo: the whole way of a lease on this machine, with the installed commands and nothing else."""
