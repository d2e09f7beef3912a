"""Up: rent a container: find the cheapest provider that fits, show the plan and its price, order, start, enter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shale.addresses import parse_address
from shale.client.cli.context import Context, confirm, json_option, password_option, run_async
from shale.client.cli.output import emit
from shale.client.cli.progress import Progress
from shale.client.cli.wishes import seconds_of, show_plan, wish_of, wish_options
from shale.errors import InputRefused
from shale.units import AttoFil

if TYPE_CHECKING:
    from shale.client.keys import UserKey
    from shale.client.leasing import Leasing
    from shale.client.plan import Plan, Wish
    from shale.client.rental import Rental
    from shale.client.store import Store
    from shale.market.accounts import Account


@click.command()
@wish_options
@click.option("--ssh-config", is_flag=True, help="Let plain ssh find it: add one Include line to ~/.ssh/config.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@password_option
@json_option
def command(
    dataset: str | None,
    cpus: str,
    memory: str,
    gpus: int,
    image: str,
    hours: str | None,
    longest: str | None,
    provider: str | None,
    name: str | None,
    max_price: str | None,
    ssh_key: str,
    ssh_config: bool,
    yes: bool,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Rent a container next to a dataset. You pay by the tick; the collateral for the whole time comes back, less that.

    \b
    shale up --dataset bafy…:/data --cpus 1 --memory 2Gi --hours 2
    """
    from shale.client import sshconfig, wallet
    from shale.client.keys import find_user_key
    from shale.client.rental import checked_name
    from shale.client.store import Store

    context = Context()
    limit = max_price or context.config.max_price
    wish = wish_of(dataset, cpus, memory, gpus, image, seconds_of(hours, longest), limit)
    chosen_name = checked_name(name) if name else None
    user_key = find_user_key(ssh_key or context.config.ssh_key)
    wallet.address(context.home)
    store = Store(context.home)
    try:
        taken = {rental.name for rental in store.rentals(living=True)}
        if chosen_name in taken:
            raise InputRefused(f"there is a lease named {chosen_name} already", "give another --name, or end that one")
        call = _Call(context, wish, provider, chosen_name, user_key, taken, store, yes, as_json)
        account = wallet.open_wallet(context.home, context.password(password_file))
        rental, seconds = run_async(lambda: call.run(account))
        show_running(context, rental, seconds, as_json=as_json, hint=yes)
        ask = not yes and not as_json and not sshconfig.is_installed(context.home)
        if ssh_config or (ask and confirm("Add one Include line to ~/.ssh/config, so that plain ssh finds it?", yes)):
            sshconfig.install(context.home)
            click.echo(f"ssh {rental.host} works now", err=True)
    finally:
        store.close()


class _Call:
    """One call of the command: its parts are opened once and closed together."""

    def __init__(
        self,
        context: Context,
        wish: Wish,
        provider: str | None,
        name: str | None,
        user_key: UserKey | None,
        taken: set[str],
        store: Store,
        yes: bool,
        as_json: bool,
    ) -> None:
        from shale.client.names import new_name

        self._context = context
        self._wish = wish
        self._provider = parse_address(provider) if provider else None
        self._name = name or new_name(taken)
        self._user_key = user_key
        self._store = store
        self._yes = yes
        self._json = as_json

    async def run(self, account: Account) -> tuple[Rental, float]:
        """Plan, ask, lease. Returns the lease and the seconds from the order to the shell."""
        from shale.client.agent.link import Waking
        from shale.client.contracts import contract_of
        from shale.client.leasing import Leasing
        from shale.client.wiring import chain_of, network_of, prover_of, signing_of
        from shale.clock import SystemClock

        network = network_of(self._context.home, self._context.network_name)
        signing, clock, waking = signing_of(network), SystemClock(), Waking()
        async with chain_of(network, account) as chain, prover_of() as prover:
            leasing = Leasing(
                self._context.home, network.name, chain, prover, account, signing, self._store, clock, waking.adopt,
                contract=contract_of(self._context.home, network.name),
            )  # fmt: skip
            plan, wallet, ledger = await self._plan(leasing)
            if not self._json:
                show_plan(plan, self._name, wallet, ledger)
            if not confirm("Rent it?", self._yes):
                raise click.Abort
            # The agent takes a second or two to come up: let it do so while the provider starts the container.
            waking.begin(self._context.home)
            with Progress(quiet=self._json) as progress:
                rental = await leasing.lease(plan, self._name, self._user_key, progress.report)
                return rental, progress.seconds

    async def _plan(self, leasing: Leasing) -> tuple[Plan, AttoFil, AttoFil]:
        from shale.client.discovery import discover
        from shale.client.plan import choose

        found, unusable = await discover(leasing.chain, leasing.signing, leasing.clock.now(), only=self._provider)
        plan = choose(found, unusable, self._wish)
        return plan, *await leasing.check_money(plan.collateral)


def show_running(context: Context, rental: Rental, seconds: float, *, as_json: bool, hint: bool) -> None:
    """How to get in; `hint` says how plain ssh would find it, where nobody was asked."""
    from shale.client.sshconfig import config_path, is_installed

    config, installed = config_path(context.home), is_installed(context.home)
    if as_json:
        emit(lease_json(rental) | {"order_to_shell_seconds": round(seconds, 3), "ssh_config": str(config)})
        return
    plain = f"ssh {rental.host}" if installed else f"ssh -F {config} {rental.host}"
    click.echo(f"\n{rental.name} runs, after {seconds:.1f} s. Enter it:\n\n    {plain}\n")
    if hint and not installed:
        click.echo("shale ssh-config --install makes it just: ssh " + rental.host)
    click.echo(f"Watch it: shale watch {rental.name}    End it: shale end {rental.name}")


def lease_json(rental: Rental) -> dict[str, Any]:
    """A lease as commands show it to programs."""
    order = rental.order
    return {
        "name": rental.name,
        "lease_id": rental.id,
        "network": rental.network,
        "state": rental.state.value,
        "host": rental.host,
        "provider": order.provider,
        "provider_name": rental.provider_name,
        "endpoint": rental.endpoint,
        "image": order.image,
        "dataset": order.dataset or None,
        "mount": rental.mount or None,
        "resources": order.resources.to_json(),
        "price_per_second_attofil": str(rental.price.per_second.value),
        "tick_seconds": order.tick_seconds,
        "max_seconds": rental.max_seconds,
        "collateral_attofil": str(rental.collateral.value),
        "paid_attofil": str(rental.paid.value),
        "paid_seconds": rental.seconds,
        "left_attofil": str(rental.left.value),
        "end_reason": rental.end_reason.text if rental.ended else None,
        "fault": rental.fault or None,
        "created_at": rental.created_at,
        "first_paid_at": rental.first_paid_at or None,
        "ended_at": rental.ended_at or None,
        "settled_paid_attofil": None if rental.settled_paid is None else str(rental.settled_paid.value),
        "settled_seconds": rental.settled_seconds,
        "reviewed": rental.reviewed,
    }
