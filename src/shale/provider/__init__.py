"""The provider's role: a daemon that offers, accepts, starts, meters and settles leases, and its commands.

- ``config``, ``identity``, ``inventory``: who this provider is and what its machine has
- ``store``: its books (SQLite or PostgreSQL)
- ``offers``, ``desk``: what it publishes, which orders it takes
- ``lifecycle``, ``metering``: a lease from start to end, and its money on the way
- ``settlement``: batches, proofs, payouts
- ``api``, ``admin``, ``daemon``, ``wiring``, ``cli``: its doors, and how the parts are put together
"""
