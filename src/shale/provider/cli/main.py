"""`shale provider …`: set up, run and look after a provider on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.addresses import f410, parse_address
from shale.paths import Home
from shale.provider.cli.datasets import datasets
from shale.provider.cli.door import as_json, ask
from shale.provider.cli.keys import keys
from shale.provider.cli.passwords import password_file, password_of
from shale.provider.cli.registry import miner, retire
from shale.provider.cli.settle import earnings, settle

if TYPE_CHECKING:
    from shale.provider.wiring import Provider


@click.group()
def group() -> None:
    """Lease this machine next to the datasets that it stores."""


@group.command()
@click.option("--name", default="", help="Name shown to clients.")
@click.option("--network", default="", help="Network to serve (default: the only one known).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--public-host", default="", help="Name or address that clients reach this machine by.")
@click.option("--port", default=8420, show_default=True, help="Port of the API.")
@click.option("--gateway-port", default=8422, show_default=True, help="Port of the SSH gateway.")
@click.option("--image", "images", multiple=True, help="Image to offer (repeatable).")
@click.option("--payout", default="", help="Address that earnings are paid to (default: the operator's own).")
@click.option("--tick", default="5s", show_default=True, help="Length of a payment tick.")
@click.option("--price-cpu", default="0.004 FIL/h", show_default=True, help="Price of one core.")
@click.option("--price-memory", default="0.001 FIL/h", show_default=True, help="Price of one GiB of memory.")
@click.option("--price-gpu", default="0.2 FIL/h", show_default=True, help="Price of one GPU.")
@click.option(
    "--volume-driver",
    default="shale",
    show_default=True,
    help="Name of the Docker volume driver that shows the datasets; one for each provider on a machine.",
)
@click.option(
    "--lotus", default="", metavar="URL", help="Lotus node whose verified claims the datasets are joined with."
)
@click.option("--miner", default="", metavar="ID", help="Your miner id, f01234, where the registry doesn't know it.")
@click.option("--cpus", default="", help="Offer at most this many cores.")
@click.option("--memory", default="", help="Offer at most this much memory.")
@password_file
@as_json
def init(
    name: str,
    network: str,
    host: str,
    public_host: str,
    port: int,
    gateway_port: int,
    images: tuple[str, ...],
    payout: str,
    tick: str,
    price_cpu: str,
    price_memory: str,
    price_gpu: str,
    volume_driver: str,
    lotus: str,
    miner: str,
    cpus: str,
    memory: str,
    password_file: Path | None,
    json_output: bool,
) -> None:
    """Make the operator's key and the settings file; nothing that exists is overwritten but the settings."""
    import os

    from shale.provider.config import ProviderConfig, config_path, save_config
    from shale.provider.identity import create_identity
    from shale.tunnel.gateway import ensure_gateway_user
    from shale.units import parse_duration

    home = Home.default()
    config = ProviderConfig(
        name=name or os.uname().nodename[:64],
        network=network,
        payout=parse_address(payout) if payout else "",
        host=host,
        port=port,
        gateway_port=gateway_port,
        public_host=public_host or host,
        images=images or ("shale/base:latest",),
        tick_seconds=parse_duration(tick),
        cpu=price_cpu,
        memory=price_memory,
        gpu=price_gpu,
        volume_driver=volume_driver,
        lotus=lotus,
        miner=miner,
        cpus=cpus,
        memory_stock=memory,
    )
    operator = create_identity(home, password_of(password_file, confirm=True))
    save_config(home, config)
    made = asyncio.run(ensure_gateway_user())
    if json_output:
        click.echo(
            json.dumps(
                {
                    "operator": operator,
                    "operator_f410": f410(operator),
                    "config": str(config_path(home)),
                    "user_created": made,
                }
            )
        )
        return
    click.echo(f"operator   {operator}\n           {f410(operator)}")
    click.echo(f"settings   {config_path(home)}")
    if made:
        click.echo("made the system user shale-gateway, which the SSH gateway runs as")
    click.echo("next: fund the operator's address, then run: shale provider up")


@group.command()
@password_file
@click.option("--log-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the log here.")
@as_json
def up(password_file: Path | None, log_file: Path | None, json_output: bool) -> None:
    """Run the provider in the foreground until Ctrl-C; leases that live on are taken up by the next start."""
    if not json_output:
        click.echo("loading the provider …", err=True)
    from shale.provider.config import load_config
    from shale.provider.daemon import serve

    home = Home.default()
    config = load_config(home)
    handler = logging.FileHandler(log_file) if log_file else logging.StreamHandler(sys.stderr)
    logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    for noisy in ("alembic", "uvicorn", "httpx", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    def ready(provider: Provider) -> None:
        operator = provider.identity.operator
        if json_output:
            click.echo(json.dumps({"ready": True, "operator": operator, "endpoint": config.endpoint}))
        else:
            click.echo(f"{config.name} ({operator}) serves at {config.endpoint}, gateway port {config.gateway_port}")
        sys.stdout.flush()

    def step(name: str) -> None:
        # The log has the times; with --json stderr stays the log's alone.
        if not json_output:
            click.echo(f"{name} …", err=True)

    asyncio.run(serve(home, config, password_of(password_file), ready, step))


@group.command()
@click.option("--end", is_flag=True, help="End every lease first; without it they live on for the next start.")
@as_json
def down(end: bool, json_output: bool) -> None:
    """Stop the running provider."""
    ask("POST", "/stop", {"end": end})
    click.echo(json.dumps({"stopping": True}) if json_output else "stopping")


@group.command()
@as_json
def status(json_output: bool) -> None:
    """Show stock, leases, datasets and earnings."""
    raw = ask("GET", "/status")
    if json_output:
        click.echo(json.dumps(raw))
        return
    from shale.provider.screens import show_status

    show_status(raw)


@group.command("end")
@click.argument("lease_id")
@as_json
def end_lease(lease_id: str, json_output: bool) -> None:
    """End one lease."""
    raw = ask("POST", f"/leases/{lease_id}/end")
    click.echo(json.dumps(raw) if json_output else f"ended: {raw['end_reason']}")


group.add_command(datasets)
group.add_command(settle)
group.add_command(earnings)
group.add_command(keys)
group.add_command(miner)
group.add_command(retire)
