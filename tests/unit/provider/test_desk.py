"""The desk: what it takes, and that whatever it refuses leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.desks import CONFIG, FIL, FIL_PRICE, ONE, PIECE, ROOT, TOTAL, Counter
from tests.settlements import opening_of

from shale.client.keys import new_ssh_key
from shale.containers.memory import MemoryEngine
from shale.errors import Closed, InputRefused, Refused, ShaleError
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Acceptance, Order, PayKey, order_from_json, order_to_json
from shale.market.resources import Resources
from shale.payments.batch import Leaf
from shale.provider import desk
from shale.provider.desk import ACCEPTANCE_SECONDS, HOLD_SECONDS, Accepted
from shale.provider.ledger_books import LedgerBooks
from shale.units import Address, AttoFil, Cid, LeaseId, Price


def _example_order() -> Order:
    nobody = Address("0x" + "0" * 40)
    key, word = "ssh-ed25519 AAAA", "0x" + "1" * 64
    return Order(nobody, nobody, word, ONE, "a:1", "", Price(FIL), 5, 5, key, key, PayKey(word, word), 1, 1)


class TestOrders:
    async def test_a_good_order_is_accepted_and_holds_its_stock(self, counter: Counter) -> None:
        order = counter.order()
        accepted = await counter.hand_in(order)
        counter.desk.signing.check(accepted.acceptance, accepted.signature, order.provider)
        assert accepted.acceptance.order == counter.desk.signing.order_hash(order)
        assert accepted.acceptance.deadline == order.deadline
        assert await counter.desk.free() == TOTAL.minus(ONE)

    async def test_a_higher_price_than_the_tariff_is_welcome(self, counter: Counter) -> None:
        price = Price(counter.good.price.per_second + AttoFil(1))
        assert await counter.hand_in(counter.order(price=price))

    @pytest.mark.parametrize("dataset", [ROOT, PIECE, ""])
    async def test_a_dataset_is_known_by_its_root_or_piece_or_is_none(self, counter: Counter, dataset: str) -> None:
        assert await counter.hand_in(counter.order(dataset=dataset))

    async def test_an_acceptance_that_nobody_confirms_gives_its_stock_back(self, counter: Counter) -> None:
        await counter.hand_in(counter.order())
        await counter.clock.advance(HOLD_SECONDS + 1)
        assert await counter.desk.free() == TOTAL

    async def test_a_full_tree_takes_no_further_order(self, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
        leaf = Leaf(0, LeaseId("0x" + "01" * 31), PayKey("0x" + "00" * 32, "0x" + "01" * 32))
        await LedgerBooks(counter.desk.store).replace_tree([leaf])
        monkeypatch.setattr(desk, "MAX_LEAVES", 2)
        await counter.hand_in(counter.order())
        await counter.refuses(counter.order(), "no place for another lease")

    async def test_stock_is_never_sold_twice(self, counter: Counter) -> None:
        orders = [counter.order(resources=Resources(1500, 1 << 30), price=FIL_PRICE) for _ in range(4)]
        answers = await asyncio.gather(*(counter.hand_in(order) for order in orders), return_exceptions=True)
        assert sum(isinstance(answer, Accepted) for answer in answers) == 2
        assert (await counter.desk.free()).cpu_millis == 1000


class TestRefusedOrders:
    async def test_a_price_below_the_tariff(self, counter: Counter) -> None:
        price = Price(counter.good.price.per_second - AttoFil(1))
        await counter.refuses(counter.order(price=price), "price", "below")

    @pytest.mark.parametrize(
        ("resources", "short"),
        [
            (Resources(4001, 1 << 30), "CPUs"),
            (Resources(1000, 9 << 30), "memory"),
            (Resources(1000, 1 << 30, 2 << 40), "disk"),
            (Resources(1000, 1 << 30, 0, 1), "GPUs"),
        ],
    )
    async def test_more_than_the_stock(self, counter: Counter, resources: Resources, short: str) -> None:
        price = CONFIG.tariff.quote(resources)
        await counter.refuses(counter.order(resources=resources, price=price), "not enough", short)

    async def test_more_than_others_leave_of_the_stock(self, counter: Counter) -> None:
        await counter.hand_in(counter.order(resources=Resources(3500, 1 << 30), price=FIL_PRICE))
        await counter.refuses(counter.order(), "not enough CPUs", "0.5 free")

    @pytest.mark.parametrize("resources", [Resources(0, 0), Resources(0, 1 << 30), Resources(1000, 0)])
    async def test_nothing_of_a_resource_which_would_mean_no_limit(
        self, counter: Counter, resources: Resources
    ) -> None:
        await counter.refuses(counter.order(resources=resources, price=FIL_PRICE), "at least")

    async def test_a_dataset_that_is_not_here(self, counter: Counter) -> None:
        other = Cid(ROOT[:-1] + "a")
        await counter.refuses(counter.order(dataset=other), other, "isn't here")

    async def test_a_dataset_whose_file_is_gone(self, counter: Counter, tmp_path: Path) -> None:
        (tmp_path / "digits.car").unlink()
        await counter.refuses(counter.order(), "isn't here")

    @pytest.mark.parametrize("cid", ["not a cid", "../../etc/passwd", "bafyé"])
    async def test_a_malformed_cid_is_one_that_is_not_here(self, counter: Counter, cid: str) -> None:
        await counter.refuses(counter.order(dataset=cid), "isn't here")

    async def test_an_unknown_image(self, counter: Counter) -> None:
        await counter.refuses(counter.order(image="no/such:image"), "no/such:image", "shale/base:latest")

    @pytest.mark.parametrize("image", ["", "../etc", "-v", "a b", "a" * 250 + ":1"])
    async def test_a_malformed_image(self, counter: Counter, image: str) -> None:
        await counter.refuses(counter.order(image=image), "image")

    async def test_a_configured_image_that_the_engine_does_not_have(self, counter: Counter) -> None:
        counter.desk.engine = MemoryEngine(host=None)
        counter.desk.engine.host.images = ("other:1",)
        await counter.refuses(counter.order(), "shale/base:latest")

    @pytest.mark.parametrize(
        "key",
        [PayKey("0x" + "0" * 64, "0x" + "0" * 64), PayKey("0x" + "0" * 64, "0x" + "0" * 63 + "1")],
        ids=["zero", "the identity"],
    )
    async def test_a_bad_payment_key(self, counter: Counter, key: PayKey) -> None:
        await counter.refuses(counter.order(pay_key=key), "payment key")

    @pytest.mark.parametrize("ahead", [-1, 3601])
    async def test_a_deadline_that_has_passed_or_is_far_away(self, counter: Counter, ahead: int) -> None:
        await counter.refuses(counter.order(deadline=counter.clock.now() + ahead), "deadline")

    async def test_a_nonce_that_the_chain_has_seen(self, counter: Counter) -> None:
        order = counter.order()
        counter.world.state.nonces.add((order.client, order.nonce))
        await counter.refuses(order, "nonce")

    async def test_a_nonce_that_another_order_here_has(self, counter: Counter) -> None:
        order = counter.order()
        await counter.hand_in(order)
        await counter.refuses(replace(order, max_seconds=1800), "nonce")

    async def test_the_same_order_again(self, counter: Counter) -> None:
        order = counter.order()
        await counter.hand_in(order)
        await counter.refuses(order, "before")

    async def test_a_signature_by_somebody_else(self, counter: Counter) -> None:
        await counter.refuses(counter.order(), "signed by", signer=counter.operator)

    async def test_an_order_for_another_provider(self, counter: Counter) -> None:
        await counter.refuses(counter.order(provider=counter.good.client), "another provider")

    async def test_another_chains_signature(self, counter: Counter) -> None:
        order = counter.order()
        elsewhere = replace(counter.desk.signing, chain_id=1)
        signature = elsewhere.sign(order, counter.client)
        with pytest.raises(InputRefused, match="signed by"):
            await counter.desk.accept({"order": order_to_json(order), "mount": "/data", "signature": signature})

    @pytest.mark.parametrize("seconds", [0, 3, 3601, 24 * 3600 + 5])
    async def test_a_time_that_is_no_whole_ticks_or_too_long(self, counter: Counter, seconds: int) -> None:
        await counter.refuses(counter.order(max_seconds=seconds))

    async def test_another_tick(self, counter: Counter) -> None:
        await counter.refuses(counter.order(tick_seconds=1), "tick")

    async def test_a_client_without_the_money(self, counter: Counter) -> None:
        counter.world.wallets[counter.good.client] = counter.world.balances[counter.good.client] = AttoFil(1)
        await counter.refuses(counter.order(), "collateral", "fund the wallet")

    async def test_many_orders_of_one_client_that_it_does_not_confirm(self, counter: Counter) -> None:
        counter.desk.config = replace(counter.desk.config, max_leases=64)
        small = Resources(10, 16 << 20)
        for _ in range(8):
            await counter.hand_in(counter.order(resources=small))
        await counter.refuses(counter.order(resources=small), "too many orders", "two minutes")
        await counter.clock.advance(HOLD_SECONDS + 1)
        await counter.hand_in(counter.order(resources=small))

    async def test_more_leases_than_the_provider_takes(self, counter: Counter) -> None:
        tiny = Resources(10, 16 << 20)
        for _ in range(CONFIG.max_leases):
            await counter.hand_in(counter.order(resources=tiny))
        await counter.refuses(counter.order(resources=tiny), "full")

    @pytest.mark.parametrize(
        "mount", ["", "data", "/", "/etc", "/usr/share/x", "/proc/1", "/data/../etc", "/.shale/keys", "/a:b", "/a,b"]
    )
    async def test_a_mount_point_that_would_hide_the_system(self, counter: Counter, mount: str) -> None:
        await counter.refuses(counter.order(), mount=mount)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda raw: raw.pop("order"),
            lambda raw: raw.pop("signature"),
            lambda raw: raw.update(order=[]),
            lambda raw: raw.update(signature=7),
            lambda raw: raw["order"].pop("price"),
            lambda raw: raw["order"].update(price=-1),
            lambda raw: raw["order"].update(price="9" * 31),
            lambda raw: raw["order"].update(max_seconds=1.5),
            lambda raw: raw["order"].update(max_seconds=True),
            lambda raw: raw["order"].update(client="0x12"),
            lambda raw: raw["order"].update(resources=None),
            lambda raw: raw["order"].update(pay_key="x"),
            lambda raw: raw["order"].update(ssh_key='command="sh" ssh-ed25519 AAAA'),
            lambda raw: raw["order"].update(gateway_key="ssh-ed25519 AAAA\nssh-ed25519 BBBB"),
            lambda raw: raw["order"].update(image="x\x00y"),
        ],
    )
    async def test_a_malformed_request(self, counter: Counter, spoil: Callable[[dict[str, Any]], object]) -> None:
        order = counter.order()
        signature = counter.desk.signing.sign(order, counter.client)
        raw = {"order": order_to_json(order), "mount": "/data", "signature": signature}
        spoil(raw)
        with pytest.raises(Refused):
            await counter.desk.accept(raw)
        assert await counter.desk.store.leases() == []


class TestConfirmations:
    async def test_a_good_confirmation_starts_the_lease(self, counter: Counter) -> None:
        order = counter.order()
        accepted = await counter.hand_in(order)
        held, host_key = await counter.confirm(counter.confirmation(order, accepted.acceptance))
        assert held.lease.state is LeaseState.STARTING
        assert host_key.public == accepted.acceptance.host_key
        assert held.confirmation is not None
        assert held.confirmation.collateral == order.collateral

    async def refused(self, counter: Counter, kind: type[ShaleError], how: dict[str, Any], **changes: Any) -> str:
        """The lease must still wait for its true confirmation, which is then taken."""
        order = counter.order()
        accepted = await counter.hand_in(order)
        with pytest.raises(kind) as caught:
            await counter.confirm(counter.confirmation(order, accepted.acceptance, **changes), **how)
        held, _ = await counter.confirm(counter.confirmation(order, accepted.acceptance))
        assert held.lease.state is LeaseState.STARTING
        return str(caught.value)

    async def test_another_collateral(self, counter: Counter) -> None:
        for amount in (AttoFil(0), counter.good.collateral - AttoFil(1), counter.good.collateral + AttoFil(1)):
            assert "collateral" in await self.refused(counter, InputRefused, {}, collateral=amount)

    async def test_another_acceptance(self, counter: Counter) -> None:
        assert "acceptance" in await self.refused(counter, InputRefused, {}, acceptance="0x" + "1" * 64)

    async def test_somebody_elses_signature(self, counter: Counter) -> None:
        assert "signed by" in await self.refused(counter, InputRefused, {"signer": counter.operator})

    async def test_a_deadline_that_is_too_near_for_the_chain(self, counter: Counter) -> None:
        now = counter.clock.now()
        assert "deadline" in await self.refused(counter, InputRefused, {}, deadline=now + 29)

    async def test_an_unknown_order(self, counter: Counter) -> None:
        order = counter.order()
        acceptance = Acceptance(counter.desk.signing.order_hash(order), new_ssh_key().public, order.deadline)
        with pytest.raises(Closed):
            await counter.confirm(counter.confirmation(order, acceptance))

    async def test_the_same_confirmation_twice(self, counter: Counter) -> None:
        order = counter.order()
        accepted = await counter.hand_in(order)
        await counter.confirm(counter.confirmation(order, accepted.acceptance))
        with pytest.raises(Closed, match="starting already"):
            await counter.confirm(counter.confirmation(order, accepted.acceptance))

    async def test_an_acceptance_that_has_expired(self, counter: Counter) -> None:
        order = counter.order()
        accepted = await counter.hand_in(order)
        await counter.clock.advance(ACCEPTANCE_SECONDS + 1)
        with pytest.raises(Closed, match="expired"):
            await counter.confirm(counter.confirmation(order, accepted.acceptance))

    async def test_a_ledger_balance_below_the_collateral(self, counter: Counter) -> None:
        order = counter.order()
        accepted = await counter.hand_in(order)
        counter.world.balances[order.client] = order.collateral - AttoFil(1)
        with pytest.raises(Refused, match="deposit the rest"):
            await counter.confirm(counter.confirmation(order, accepted.acceptance))

    async def test_a_balance_that_another_starting_lease_will_lock(self, counter: Counter) -> None:
        counter.world.balances[counter.good.client] = counter.good.collateral + AttoFil(1)
        first = await counter.lease(counter.order())
        with pytest.raises(Refused, match="spoken for"):
            await counter.lease(counter.order())
        await counter.desk.store.end(first.id, EndReason.ANCHOR_FAILED, 1)
        assert await counter.lease(counter.order())

    async def test_a_lease_that_is_on_chain_has_locked_its_money_already(self, counter: Counter) -> None:
        order = counter.order()
        accepted = await counter.hand_in(order)
        confirmation = counter.confirmation(order, accepted.acceptance)
        held, _ = await counter.confirm(confirmation)
        await counter.desk.chain.open_leases([opening_of(held)])
        counter.world.balances[order.client] = order.collateral
        assert await counter.lease(counter.order())


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = tuple(order_to_json(_example_order()))


@given(st.sampled_from(_FIELDS), _JUNK)
def test_any_field_of_an_order_may_be_junk(name: str, junk: object) -> None:
    raw = order_to_json(_example_order()) | {name: junk}
    try:
        order = order_from_json(raw)
    except Refused:
        return
    assert order_from_json(order_to_json(order)) == order
