"""The suite that every Prover must pass: subclass `ProverChecks` and give it a `prover` fixture."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

from shale.errors import Refused
from shale.market.order import PayKey
from shale.payments.batch import Leaf, Operation
from shale.payments.voucher import Voucher
from shale.payments.words import BATCH_SIZE, batch_words, challenge, evaluation
from shale.proofs.prover import PaySecret, Prover
from shale.units import Address, AttoFil, LeaseId

LEDGER = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
LEASE = LeaseId("0x" + "01" * 31)
OTHER_LEASE = LeaseId("0x" + "02" * 31)
DEPOSIT = AttoFil(1_000_000)


class ProverChecks:
    """What callers rely on: which vouchers count, and which batches can be proven."""

    async def test_a_signed_voucher_verifies(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        voucher = await prover.sign(secret, domain, LEASE, AttoFil(70), 7)
        assert (voucher.lease, voucher.amount, voucher.seconds) == (LEASE, AttoFil(70), 7)
        assert await prover.verify(secret.public, domain, voucher)

    async def test_a_voucher_signed_for_something_else_does_not_verify(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        stranger = await prover.keygen()
        voucher = await prover.sign(secret, domain, LEASE, AttoFil(70), 7)
        for forged in (
            replace(voucher, amount=AttoFil(71)),
            replace(voucher, seconds=8),
            replace(voucher, lease=OTHER_LEASE),
        ):
            assert not await prover.verify(secret.public, domain, forged)
        assert not await prover.verify(stranger.public, domain, voucher)
        elsewhere = await prover.domain(314, LEDGER)
        assert not await prover.verify(secret.public, elsewhere, voucher)

    async def test_a_garbled_signature_does_not_verify(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        voucher = await prover.sign(secret, domain, LEASE, AttoFil(70), 7)
        for signature in ("", "0x", "0x" + "ff" * 64, voucher.signature[:-2], voucher.signature + "00"):
            assert not await prover.verify(secret.public, domain, replace(voucher, signature=signature))

    async def test_only_a_generated_key_is_a_key(self, prover: Prover) -> None:
        secret = await prover.keygen()
        word = "0x{:064x}".format
        assert await prover.check_key(secret.public)
        assert not await prover.check_key(PayKey(word(0), word(1)))
        assert not await prover.check_key(PayKey(word(0), word(0)))
        assert not await prover.check_key(PayKey(secret.public.y, secret.public.x))

    async def test_a_secret_does_not_show(self, prover: Prover) -> None:
        secret = await prover.keygen()
        assert secret.secret[2:] not in repr(secret)

    async def test_a_domain_is_of_one_chain_and_one_ledger(self, prover: Prover) -> None:
        other = Address("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512")
        domains = {
            await prover.domain(31415926, LEDGER),
            await prover.domain(314, LEDGER),
            await prover.domain(31415926, other),
        }
        assert len(domains) == 3
        assert await prover.domain(314, LEDGER) in domains

    async def test_a_root_is_of_the_leaves_in_any_order(self, prover: Prover) -> None:
        key = (await prover.keygen()).public
        one, two = Leaf(0, LEASE, key, DEPOSIT), Leaf(5, OTHER_LEASE, key, DEPOSIT, AttoFil(9), 3)
        assert await prover.root([]) == (await prover.circuit()).empty_root
        assert await prover.root([one, two]) == await prover.root([two, one])
        assert await prover.root([one]) != await prover.root([one, two])
        assert await prover.root([one]) != await prover.root([replace(one, index=1)])

    async def test_two_leaves_of_one_index_are_refused(self, prover: Prover) -> None:
        key = (await prover.keygen()).public
        leaves = [Leaf(3, LEASE, key, DEPOSIT), Leaf(3, OTHER_LEASE, key, DEPOSIT)]
        await _is_refused(prover.root(leaves))

    async def test_a_lease_is_proven_from_deposit_to_refund(self, prover: Prover) -> None:
        """Two leases in one batch: one comes and pays, one that stood pays more and closes."""
        secret, domain = await _payer(prover)
        standing = Leaf(4, OTHER_LEASE, secret.public, DEPOSIT, AttoFil(100), 10)
        arriving = Leaf(0, LEASE, secret.public, DEPOSIT)
        last = await prover.sign(secret, domain, OTHER_LEASE, AttoFil(250), 25)
        first = await prover.sign(secret, domain, LEASE, AttoFil(40), 4)
        operations = [Operation(arriving, True, False, first), Operation(standing, False, True, last)]
        proof = await prover.prove(domain, [standing], operations)

        assert proof.old_root == await prover.root([standing])
        assert proof.new_root == await prover.root([replace(arriving, amount=AttoFil(40), seconds=4)])
        words = batch_words(int(domain, 16), int(proof.old_root, 16), int(proof.new_root, 16), operations)
        assert [int(word, 16) for word in proof.words] == words
        assert int(proof.r, 16) == challenge(words, int(proof.c, 16))
        assert int(proof.e, 16) == evaluation(words, int(proof.r, 16))
        assert await prover.check_proof(proof)
        assert not await prover.check_proof(replace(proof, e="0x" + "0" * 63 + "1"))
        assert not await prover.check_proof(replace(proof, c=proof.e))
        assert not await prover.check_proof(replace(proof, proof=proof.proof[::-1]))

    async def test_a_lower_amount_is_refused(self, prover: Prover) -> None:
        await _bad_voucher(prover, AttoFil(99), 11)

    async def test_fewer_seconds_are_refused(self, prover: Prover) -> None:
        await _bad_voucher(prover, AttoFil(101), 9)

    async def test_an_amount_above_the_deposit_is_refused(self, prover: Prover) -> None:
        await _bad_voucher(prover, DEPOSIT + AttoFil(1), 20)

    async def test_another_keys_signature_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        stranger = await prover.keygen()
        leaf = Leaf(0, LEASE, secret.public, DEPOSIT)
        voucher = await prover.sign(stranger, domain, LEASE, AttoFil(5), 1)
        await _is_refused(prover.prove(domain, [leaf], [Operation(leaf, False, False, voucher)]))

    async def test_another_leases_voucher_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(0, LEASE, secret.public, DEPOSIT)
        voucher = await prover.sign(secret, domain, OTHER_LEASE, AttoFil(5), 1)
        await _is_refused(prover.prove(domain, [leaf], [Operation(leaf, False, False, voucher)]))

    async def test_a_raised_voucher_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(0, LEASE, secret.public, DEPOSIT)
        voucher = await prover.sign(secret, domain, LEASE, AttoFil(5), 1)
        raised = Voucher(LEASE, AttoFil(6), 1, voucher.signature)
        await _is_refused(prover.prove(domain, [leaf], [Operation(leaf, False, False, raised)]))

    async def test_an_insert_on_a_used_index_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        standing = Leaf(2, OTHER_LEASE, secret.public, DEPOSIT)
        arriving = Leaf(2, LEASE, secret.public, DEPOSIT)
        await _is_refused(prover.prove(domain, [standing], [Operation(arriving, True, False, None)]))

    async def test_a_leaf_that_is_not_in_the_tree_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(2, LEASE, secret.public, DEPOSIT)
        await _is_refused(prover.prove(domain, [], [Operation(leaf, False, True, None)]))

    async def test_an_index_outside_of_the_tree_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        depth = (await prover.circuit()).depth
        leaf = Leaf(2**depth, LEASE, secret.public, DEPOSIT)
        await _is_refused(prover.prove(domain, [], [Operation(leaf, True, False, None)]))

    async def test_more_operations_than_the_batch_holds_are_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        assert (await prover.circuit()).batch == BATCH_SIZE
        leaves = [Leaf(i, LeaseId(f"0x{i + 1:062x}"), secret.public, DEPOSIT) for i in range(BATCH_SIZE + 1)]
        await _is_refused(prover.prove(domain, [], [Operation(leaf, True, False, None) for leaf in leaves]))


async def _payer(prover: Prover) -> tuple[PaySecret, str]:
    return await prover.keygen(), await prover.domain(31415926, LEDGER)


async def _bad_voucher(prover: Prover, amount: AttoFil, seconds: int) -> None:
    """A leaf at (100, 10) takes no such voucher, however well it is signed."""
    secret, domain = await _payer(prover)
    leaf = Leaf(0, LEASE, secret.public, DEPOSIT, AttoFil(100), 10)
    voucher = await prover.sign(secret, domain, LEASE, amount, seconds)
    await _is_refused(prover.prove(domain, [leaf], [Operation(leaf, False, False, voucher)]))


async def _is_refused(call: Awaitable[object]) -> None:
    try:
        await call
    except Refused:
        return
    raise AssertionError("it was not refused")
