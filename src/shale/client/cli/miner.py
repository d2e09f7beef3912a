"""`shale wallet authorize-miner` and `revoke-miner`: a miner's owner says which operator acts for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.addresses import f410
from shale.client.cli.context import Context, json_option, password_option, run_async
from shale.client.cli.output import emit

if TYPE_CHECKING:
    from shale.chain.chain import Receipt

INVOKE_EVM = 3844450837
"""The FRC-42 number of InvokeEVM, by which any Filecoin account calls a contract."""

calldata_option = click.option(
    "--calldata", is_flag=True, help="Send nothing: print what an f1, f3 or multisig owner sends by InvokeEVM."
)


@click.command("authorize-miner")
@click.argument("miner_id", metavar="f01234")
@click.argument("operator")
@calldata_option
@password_option
@json_option
def authorize(miner_id: str, operator: str, calldata: bool, password_file: Path | None, as_json: bool) -> None:
    """Let OPERATOR bind the miner f01234, which your wallet controls."""
    _say("authorize", miner_id, operator, calldata, password_file, as_json)


@click.command("revoke-miner")
@click.argument("miner_id", metavar="f01234")
@click.argument("operator")
@calldata_option
@password_option
@json_option
def revoke(miner_id: str, operator: str, calldata: bool, password_file: Path | None, as_json: bool) -> None:
    """Take it back; it also unbinds the operator."""
    _say("revoke", miner_id, operator, calldata, password_file, as_json)


def _say(act: str, miner_id: str, operator: str, calldata: bool, password_file: Path | None, as_json: bool) -> None:
    from shale.addresses import parse_address
    from shale.chain.abi import artifact
    from shale.chain.lotus import miner_number
    from shale.client import wallet
    from shale.client.wiring import chain_of, network_of

    context = Context()
    miner, who = miner_number(miner_id), parse_address(operator)
    network = network_of(context.home, context.network_name)
    if calldata:
        registry = network.deployment.registry
        data = artifact("Registry").functions[act].call((miner, who))
        # InvokeEVM takes its call as a CBOR byte string; these are 4 + 2 * 32 bytes.
        params = f"58{len(data) // 2 - 1:02x}{data[2:]}"
        if as_json:
            emit({"to": registry, "to_f410": f410(registry), "calldata": data, "method": INVOKE_EVM, "params": params})
        else:
            click.echo(f"to        {f410(registry)}\n          {registry}\ncalldata  {data}")
            click.echo(f"method    {INVOKE_EVM} (InvokeEVM)\nparams    {params}")
        return
    wallet.address(context.home)
    account = wallet.open_wallet(context.home, context.password(password_file))

    async def send() -> Receipt:
        async with chain_of(network, account) as chain:
            return await (chain.authorize(miner, who) if act == "authorize" else chain.revoke(miner, who))

    receipt = run_async(send)
    if as_json:
        emit({"miner": f"f0{miner}", "operator": who, "tx": receipt.tx, "block": receipt.block})
    else:
        done = "may bind" if act == "authorize" else "may no longer bind"
        click.echo(f"{who} {done} f0{miner}  (transaction {receipt.tx})")
