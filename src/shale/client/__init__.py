"""The client's side: what a person types, the leases they hold, and the agent that pays for them."""
