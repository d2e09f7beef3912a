"""The suite that every Prover must pass: subclass `ProverChecks` and give it a `prover` fixture."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

from shale.errors import Refused
from shale.market.order import PayKey
from shale.payments.batch import SIZES, TREE_DEPTH, Batch, Leaf, Operation, Proof
from shale.payments.voucher import Voucher
from shale.payments.words import batch_words, challenge, evaluation
from shale.proofs.prover import PaySecret, Prover
from shale.units import Address, AttoFil, LeaseId

LEDGER = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
LEASE = LeaseId("0x" + "01" * 31)
OTHER_LEASE = LeaseId("0x" + "02" * 31)


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
        one, two = Leaf(0, LEASE, key), Leaf(5, OTHER_LEASE, key, AttoFil(9), 3)
        assert await prover.root([]) == (await prover.circuit()).empty_root
        assert await prover.root([one, two]) == await prover.root([two, one])
        assert await prover.root([one]) != await prover.root([one, two])
        assert await prover.root([one]) != await prover.root([replace(one, index=1)])

    async def test_two_leaves_of_one_index_are_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        for index in (3, 5000):
            leaves = [Leaf(index, LEASE, secret.public), Leaf(index, OTHER_LEASE, secret.public)]
            await _is_refused(prover.root(leaves))
            await _is_refused(prover.prove(domain, 1, 3, leaves, [Operation(leaves[0], False, True, None)]))
        crowd = [Leaf(index % 4096, LEASE, secret.public) for index in range(4097)]
        await _is_refused(prover.root(crowd))

    async def test_a_leaf_outside_of_the_tree_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        standing = Leaf(3, LEASE, secret.public)
        for index in (-1, 2**TREE_DEPTH, 2**32, 2**64):
            leaves = [standing, Leaf(index, OTHER_LEASE, secret.public)]
            await _is_refused(prover.root(leaves))
            await _is_refused(prover.prove(domain, 1, 3, leaves, [Operation(standing, False, True, None)]))

    async def test_a_leaf_counts_wherever_in_the_tree_it_stands(self, prover: Prover) -> None:
        key = (await prover.keygen()).public
        leaves = [Leaf(index, LEASE, key) for index in (0, 4095, 4096, 2**19, 2**TREE_DEPTH - 1)]
        root = await prover.root(leaves)
        assert root == await prover.root(leaves[::-1])
        others = {await prover.root([*leaves, Leaf(index, OTHER_LEASE, key)]) for index in (1, 4097, 2**18)}
        for leaf in leaves:
            rest = [other for other in leaves if other is not leaf]
            others |= {await prover.root(rest), await prover.root([*rest, replace(leaf, seconds=1)])}
        assert len(others) == 13
        assert root not in others
        assert root == await prover.root(leaves)

    async def test_a_lease_is_closed_wherever_in_the_tree_it_stands(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        tree = [Leaf(index, LEASE, secret.public, AttoFil(9), 3) for index in (0, 4095, 4096, 2**19, 2**TREE_DEPTH - 1)]
        for leaf in tree:
            left = [other for other in tree if other is not leaf]
            proof = await prover.prove(domain, 1, leaf.index, tree, [Operation(leaf, False, True, None)])
            assert (proof.old_root, proof.new_root) == (await prover.root(tree), await prover.root(left))
            assert await prover.check_proof(proof)

    async def test_many_vouchers_are_verified_in_their_order(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        good = [await prover.sign(secret, domain, LEASE, AttoFil(n), n) for n in range(1, 40)]
        bad = replace(good[0], amount=AttoFil(2))
        garbled = replace(good[0], signature="0x00")
        mixed = [good[0], bad, *good[1:], garbled]
        valid = await prover.verify_many([(secret.public, voucher) for voucher in mixed], domain)
        assert valid == [voucher not in (bad, garbled) for voucher in mixed]
        assert await prover.verify_many([], domain) == []
        assert await prover.verify_many([(PayKey("junk", "0x1"), good[0])], domain) == [False]

    async def test_the_circuit_has_all_sizes_and_one_hash_of_their_keys(self, prover: Prover) -> None:
        circuit = await prover.circuit()
        assert tuple(sorted(size.size for size in circuit.sizes)) == SIZES
        assert set(circuit.provable) >= {1, 8}
        assert len(circuit.keys_hash) == 66

    async def test_a_lease_is_proven_from_its_first_leaf_to_its_close(self, prover: Prover) -> None:
        """Two leases in one batch: one comes and pays, one that stood pays more and closes."""
        secret, domain = await _payer(prover)
        arriving, standing = Leaf(8, LEASE, secret.public), Leaf(12, OTHER_LEASE, secret.public, AttoFil(100), 10)
        last = await prover.sign(secret, domain, OTHER_LEASE, AttoFil(250), 25)
        first = await prover.sign(secret, domain, LEASE, AttoFil(40), 4)
        operations = [Operation(arriving, True, False, first), Operation(standing, False, True, last)]
        untouched = [Leaf(9, LeaseId("0x" + "03" * 31), secret.public, AttoFil(7), 1), Leaf(700, LEASE, secret.public)]
        heard: list[tuple[str, int]] = []
        proof = await prover.prove(
            domain, 8, 1, [standing, *untouched], operations, lambda stage, done: heard.append((stage, done))
        )

        assert (proof.size, proof.window, proof.earned) == (8, 1, AttoFil(190))
        assert proof.old_root == await prover.root([standing, *untouched])
        assert proof.new_root == await prover.root([replace(arriving, amount=AttoFil(40), seconds=4), *untouched])
        await _has_the_words_of(domain, proof, operations)
        assert await prover.check_proof(proof)
        assert not await prover.check_proof(replace(proof, e="0x" + "0" * 63 + "1"))
        assert not await prover.check_proof(replace(proof, c=proof.e))
        assert not await prover.check_proof(replace(proof, size=1))
        assert not await prover.check_proof(replace(proof, proof=proof.proof[::-1]))
        for stage in {stage for stage, _ in heard}:
            shown = [done for said, done in heard if said == stage]
            assert shown == sorted(shown)
            assert 0 <= shown[0] <= shown[-1] <= 1000

    async def test_one_lease_is_inserted_claimed_and_closed_in_a_batch_of_one(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(2, LEASE, secret.public)
        voucher = await prover.sign(secret, domain, LEASE, AttoFil(40), 4)
        operations = [Operation(leaf, True, True, voucher)]
        proof = await prover.prove(domain, 1, 2, [], operations)
        assert (proof.old_root, proof.new_root) == (await prover.root([]), await prover.root([]))
        assert proof.earned == AttoFil(40)
        await _has_the_words_of(domain, proof, operations)
        assert await prover.check_proof(proof)

    async def test_a_lower_amount_is_refused(self, prover: Prover) -> None:
        await _bad_voucher(prover, AttoFil(99), 11)

    async def test_fewer_seconds_are_refused(self, prover: Prover) -> None:
        await _bad_voucher(prover, AttoFil(101), 9)

    async def test_another_keys_signature_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        stranger = await prover.keygen()
        leaf = Leaf(0, LEASE, secret.public)
        voucher = await prover.sign(stranger, domain, LEASE, AttoFil(5), 1)
        await _is_refused(prover.prove(domain, 8, 0, [leaf], [Operation(leaf, False, False, voucher)]))

    async def test_another_leases_voucher_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(0, LEASE, secret.public)
        voucher = await prover.sign(secret, domain, OTHER_LEASE, AttoFil(5), 1)
        await _is_refused(prover.prove(domain, 8, 0, [leaf], [Operation(leaf, False, False, voucher)]))

    async def test_a_raised_voucher_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(0, LEASE, secret.public)
        voucher = await prover.sign(secret, domain, LEASE, AttoFil(5), 1)
        raised = Voucher(LEASE, AttoFil(6), 1, voucher.signature)
        await _is_refused(prover.prove(domain, 8, 0, [leaf], [Operation(leaf, False, False, raised)]))

    async def test_an_insert_on_a_used_index_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        standing = Leaf(2, OTHER_LEASE, secret.public)
        arriving = Leaf(2, LEASE, secret.public)
        await _is_refused(prover.prove(domain, 8, 0, [standing], [Operation(arriving, True, False, None)]))

    async def test_a_leaf_that_is_not_in_the_tree_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(2, LEASE, secret.public)
        await _is_refused(prover.prove(domain, 8, 0, [], [Operation(leaf, False, True, None)]))

    async def test_an_index_outside_of_the_tree_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        depth = (await prover.circuit()).depth
        leaf = Leaf(2**depth, LEASE, secret.public)
        await _is_refused(prover.prove(domain, 8, 2**depth // 8, [], [Operation(leaf, True, False, None)]))

    async def test_an_index_outside_of_the_window_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        leaf = Leaf(8, LEASE, secret.public)
        await _is_refused(prover.prove(domain, 8, 0, [], [Operation(leaf, True, False, None)]))

    async def test_a_slot_that_is_used_twice_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        one, two = Leaf(1, LEASE, secret.public), Leaf(1, OTHER_LEASE, secret.public)
        await _is_refused(prover.prove(domain, 8, 0, [], [Operation(leaf, True, False, None) for leaf in (one, two)]))

    async def test_a_batch_of_nothing_or_of_no_such_size_is_refused(self, prover: Prover) -> None:
        secret, domain = await _payer(prover)
        await _is_refused(prover.prove(domain, 8, 0, [], []))
        await _is_refused(prover.prove(domain, 7, 0, [], [Operation(Leaf(0, LEASE, secret.public), True, False, None)]))


async def _has_the_words_of(domain: str, proof: Proof, operations: list[Operation]) -> None:
    batch = Batch(proof.size, proof.window, tuple(operations))
    words = batch_words(int(domain, 16), int(proof.old_root, 16), int(proof.new_root, 16), batch, proof.earned)
    assert int(proof.r, 16) == challenge(words, int(proof.c, 16))
    assert int(proof.e, 16) == evaluation(words, int(proof.r, 16))


async def _payer(prover: Prover) -> tuple[PaySecret, str]:
    return await prover.keygen(), await prover.domain(31415926, LEDGER)


async def _bad_voucher(prover: Prover, amount: AttoFil, seconds: int) -> None:
    """A leaf at (100, 10) takes no such voucher, however well it is signed."""
    secret, domain = await _payer(prover)
    leaf = Leaf(0, LEASE, secret.public, AttoFil(100), 10)
    voucher = await prover.sign(secret, domain, LEASE, amount, seconds)
    await _is_refused(prover.prove(domain, 8, 0, [leaf], [Operation(leaf, False, False, voucher)]))


async def _is_refused(call: Awaitable[object]) -> None:
    try:
        await call
    except Refused:
        return
    raise AssertionError("it was not refused")
