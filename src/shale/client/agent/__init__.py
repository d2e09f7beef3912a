"""The payer: one background process of a user that pays for all of the user's leases, tick by tick."""
