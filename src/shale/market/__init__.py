"""What the parties agree on: resources, offer, order, acceptance, confirmation, lease, end, review."""
