"""Live views of leases on a terminal."""
