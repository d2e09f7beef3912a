"""Up: rent a container: find the cheapest provider that fits, show the plan and its price, order, start, enter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shale.addresses import parse_address
from shale.client.cli.context import Context, confirm, json_option, password_option, run_async
from shale.client.cli.output import console, emit, fil
from shale.client.cli.progress import Progress
from shale.errors import InputRefused
from shale.units import AttoFil, Price, format_bytes, format_duration, parse_duration

if TYPE_CHECKING:
    from shale.client.keys import UserKey
    from shale.client.leasing import Leasing
    from shale.client.plan import Plan, Wish
    from shale.client.rental import Rental
    from shale.client.store import Store
    from shale.market.accounts import Account


@click.command()
@click.option("--dataset", metavar="CID[:/MOUNT]", help="The dataset, and where it is mounted (/data).")
@click.option("--cpus", default="1", show_default=True, help="CPUs, such as 0.5 or 4.")
@click.option("--memory", default="1Gi", show_default=True, help="Memory, such as 512Mi or 8Gi.")
@click.option("--gpus", default=0, show_default=True, type=click.IntRange(0, 64), help="Whole GPUs.")
@click.option("--image", metavar="NAME", default="", help="The container's image. [default: the provider's first]")
@click.option("--hours", metavar="H", help="The longest that you will stay, in hours. [default: 1]")
@click.option("--max", "longest", metavar="TIME", help="The same as a duration: 30m, 8h, 2d.")
@click.option("--provider", metavar="ADDRESS", help="This provider only. [default: the cheapest that fits]")
@click.option("--name", help="How you will call it: ssh shale-NAME. [default: made up]")
@click.option("--max-price", metavar="PRICE", help='Never pay more than this, such as "0.01 FIL/h".')
@click.option("--ssh-key", metavar="FILE", default="", help="Your SSH key. [default: the one in ~/.ssh]")
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
    wish = _wish(dataset, cpus, memory, gpus, image, _seconds(hours, longest), max_price or context.config.max_price)
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
        call.show(rental, seconds)
        ask = not yes and not as_json and not sshconfig.is_installed(context.home)
        if ssh_config or (ask and confirm("Add one Include line to ~/.ssh/config, so that plain ssh finds it?", yes)):
            sshconfig.install(context.home)
            click.echo(f"ssh {rental.host} works now", err=True)
    finally:
        store.close()


def _seconds(hours: str | None, longest: str | None) -> int:
    from shale.client.plan import MAX_SECONDS

    if hours and longest:
        raise InputRefused("--hours and --max are the same thing", "give one of them")
    seconds = parse_duration(longest or (f"{hours}h" if hours else "1h"))
    if not 1 <= seconds <= MAX_SECONDS:
        raise InputRefused("that time is out of range", "give 1 s to 10 years")
    return seconds


def _wish(dataset: str | None, cpus: str, memory: str, gpus: int, image: str, seconds: int, max_price: str) -> Wish:
    from shale.client.plan import Wish, parse_dataset
    from shale.market.order import text_of
    from shale.market.resources import Resources

    cid, mount = parse_dataset(dataset) if dataset else ("", "")
    limit = Price.parse(max_price) if max_price else None
    return Wish(Resources.parse(cpus, memory, gpus), seconds, cid, mount, text_of(image, 256), limit)


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
        from shale.client.leasing import Leasing
        from shale.client.wiring import chain_of, network_of, prover_of, signing_of
        from shale.clock import SystemClock

        network = network_of(self._context.home, self._context.network_name)
        signing, clock, waking = signing_of(network), SystemClock(), Waking()
        async with chain_of(network, account) as chain, prover_of() as prover:
            leasing = Leasing(
                self._context.home, network.name, chain, prover, account, signing, self._store, clock, waking.adopt
            )
            plan, wallet, ledger = await self._plan(leasing)
            if not self._json:
                _show_plan(plan, self._name, wallet, ledger)
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

    def show(self, rental: Rental, seconds: float) -> None:
        """How to get in."""
        from shale.client.sshconfig import config_path, is_installed

        config = config_path(self._context.home)
        if self._json:
            emit(lease_json(rental) | {"order_to_shell_seconds": round(seconds, 3), "ssh_config": str(config)})
            return
        plain = f"ssh {rental.host}" if is_installed(self._context.home) else f"ssh -F {config} {rental.host}"
        click.echo(f"\n{rental.name} runs, after {seconds:.1f} s. Enter it:\n\n    {plain}\n")
        if self._yes and not is_installed(self._context.home):
            click.echo("shale ssh-config --install makes it just: ssh " + rental.host)
        click.echo(f"Watch it: shale watch {rental.name}    End it: shale end {rental.name}")


def _show_plan(plan: Plan, name: str, wallet: AttoFil, ledger: AttoFil) -> None:
    from rich.table import Table
    from rich.text import Text

    offer, wanted = plan.offer, plan.resources
    deposit = AttoFil(max(0, plan.collateral.value - ledger.value))
    size = f"{wanted.cpu_millis / 1000:g} CPU, {format_bytes(wanted.memory_bytes)}"
    standing = plan.found.standing
    stars = f", ★ {standing.stars_tenths / 10:.1f}" if standing and standing.stars_tenths is not None else ""
    rows = [
        ("lease", name),
        ("provider", f"{offer.name} ({offer.provider}){stars}"),
        ("container", size + (f", {wanted.gpus} GPU" if wanted.gpus else "") + f", image {plan.image}"),
    ]
    if plan.dataset:
        held = plan.dataset
        rows.append(("dataset", f"{held.name} ({held.files} files, {format_bytes(held.size)}) at {plan.mount}"))
    per_second = plan.price.per_second
    rows += [
        ("price", f"{fil(per_second * 60)}/min, {fil(per_second * 3600)}/h, paid every {offer.tick_seconds} s"),
        ("at most", format_duration(plan.max_seconds)),
        ("collateral", f"{plan.collateral}, what is not spent comes back"),
        ("wallet", f"{fil(wallet)}, ledger {fil(ledger)}" + (f", deposits {fil(deposit)}" if deposit else "")),
    ]
    table = Table.grid(padding=(0, 2))
    for key, value in rows:
        table.add_row(Text(key, "bold"), Text(value))
    console(stderr=True).print(table)


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
