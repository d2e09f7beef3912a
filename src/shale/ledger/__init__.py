"""The ledger as anyone can follow it: a provider's tree out of the chain's events."""
