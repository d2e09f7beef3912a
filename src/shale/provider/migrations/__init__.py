"""Migrations of the provider's books, run when the daemon opens them."""
