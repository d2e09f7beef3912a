"""The rules of money: what a meter asks, which voucher counts, what a batch redeems."""
