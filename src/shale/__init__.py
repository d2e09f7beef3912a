"""Shale: cloud computing next to the data that Filecoin storage providers keep.

Where things are, outermost first; each may import only what stands below it:

- ``provider``, ``client``: the two roles: daemons, command line, and the wiring of the parts below
- ``quality``: probes as plugins and what they conclude
- ``tunnel``, ``containers``, ``chain``, ``proofs``, ``datasets``: the ports to the world, and their adapters
- ``payments``: meter, voucher, batch: the rules of money
- ``market``: offer, order, lease, review: what the parties agree on
- ``units``, ``errors``, ``clock``, ``paths``, ``process``: the ground
"""

import sys as _sys

# httpx brings a command of its own, for which it loads rich and pygments wherever they are installed: a tenth of a
# second of every start. Without it, it goes on as where they are not.
_sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
