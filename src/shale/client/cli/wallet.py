"""Wallet commands: make or import a key, see its addresses and balances, move money to and from the ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.addresses import f410, parse_address
from shale.client.cli.context import Context, again_option, json_option, password_option, run_async
from shale.client.cli.miner import authorize, revoke
from shale.client.cli.output import emit
from shale.errors import InputRefused
from shale.units import Address, AttoFil

if TYPE_CHECKING:
    from shale.chain.chain import Receipt


@click.group(no_args_is_help=True)
def group() -> None:
    """Your key and your money: the wallet pays gas and fills the ledger, the ledger holds collaterals."""


def _say_address(owner: Address, as_json: bool, path: Path) -> None:
    if as_json:
        emit({"address": owner, "f410": f410(owner), "file": str(path)})
    else:
        click.echo(f"{owner}\n{f410(owner)}")


@group.command()
@password_option
@json_option
def new(password_file: Path | None, as_json: bool) -> None:
    """Make a new key, encrypted with a password."""
    from shale.client import wallet

    context = Context()
    wallet.refuse_second(context.home)
    password = context.password(password_file, "New password", confirm=True)
    owner = wallet.create(context.home, password)
    _say_address(owner, as_json, wallet.wallet_path(context.home))


@group.command("import")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@password_option
@click.option("--keystore-password-file", type=click.Path(path_type=Path), help="The keystore's, if it is another one.")
@json_option
def import_(file: Path | None, password_file: Path | None, keystore_password_file: Path | None, as_json: bool) -> None:
    """Take over a key: an encrypted keystore or a private key in hex, from FILE or stdin, or from a hidden prompt."""
    from shale.client import wallet
    from shale.market.keystore import decrypt

    context = Context()
    wallet.refuse_second(context.home)
    found = wallet.read_key(_key_data(file))
    if isinstance(found, dict):
        found = decrypt(found, context.password(keystore_password_file or password_file, "Password of the keystore"))
    password = context.password(password_file, "New password", confirm=True)
    _say_address(wallet.keep(context.home, found, password), as_json, wallet.wallet_path(context.home))


def _key_data(file: Path | None) -> bytes:
    """What holds the key: never an argument, which every process can read."""
    from shale.client import wallet

    if file is not None:
        return wallet.read_file(file)
    if sys.stdin.isatty():
        return str(click.prompt("Private key (hex)", hide_input=True, err=True)).encode()
    try:
        return sys.stdin.read(wallet.MAX_KEYSTORE + 1).encode()
    except UnicodeDecodeError:
        return b""  # which is no key either


@group.command()
@json_option
def address(as_json: bool) -> None:
    """Show your address, as Ethereum and as Filecoin write it."""
    from shale.client import wallet

    home = Context().home
    _say_address(wallet.address(home), as_json, wallet.wallet_path(home))


@group.command()
@json_option
def balance(as_json: bool) -> None:
    """Show what the wallet and the ledger hold."""
    from shale.client import wallet
    from shale.client.contracts import contract_of
    from shale.client.wiring import chain_of, network_of

    context = Context()
    owner = wallet.address(context.home)
    network = network_of(context.home, context.network_name)
    contract = contract_of(context.home, network.name)

    async def read() -> tuple[AttoFil, AttoFil]:
        async with chain_of(network) as chain:
            return await chain.wallet_balance(owner), await chain.ledger_balance(contract or owner)

    purse, ledger = run_async(read)
    if as_json:
        emit(
            {
                "address": owner,
                "f410": f410(owner),
                "network": network.name,
                "contract": contract,
                "wallet_attofil": str(purse.value),
                "ledger_attofil": str(ledger.value),
            }
        )
    else:
        whose = f"the contract {contract}'s" if contract else "free for collaterals, or shale wallet withdraw"
        click.echo(f"wallet  {purse}\nledger  {ledger}  ({whose})")


@group.command()
@click.argument("amount")
@again_option
@password_option
@json_option
def deposit(amount: str, again: bool, password_file: Path | None, as_json: bool) -> None:
    """Move AMOUNT (such as "0.5 FIL") from the wallet to the ledger: to the balance of the contract in use, if any."""
    _move(AttoFil.parse(amount), password_file, as_json, "deposited", again)


@group.command()
@click.argument("amount", required=False)
@click.option("--all", "everything", is_flag=True, help="All that is free there.")
@again_option
@password_option
@json_option
def withdraw(amount: str | None, everything: bool, again: bool, password_file: Path | None, as_json: bool) -> None:
    """Move AMOUNT (such as "0.5 FIL") from the ledger to the wallet, or --all."""
    if amount == "all":
        amount, everything = None, True
    if everything == (amount is not None):
        raise InputRefused("how much to withdraw is not clear", "give an amount, or --all")
    _move(AttoFil.parse(amount) if amount else None, password_file, as_json, "withdrawn", again)


def _move(amount: AttoFil | None, password_file: Path | None, as_json: bool, verb: str, again: bool) -> None:
    from shale.client import wallet
    from shale.client.contracts import contract_of
    from shale.client.wiring import chain_of, network_of

    context = Context()
    network = network_of(context.home, context.network_name)
    contract = contract_of(context.home, network.name)
    if contract is not None and verb == "withdrawn":
        ledger = network.deployment.ledger
        raise InputRefused(
            f"only the contract {contract} can withdraw what is its own", f"have it call withdraw(uint256) of {ledger}"
        )
    wallet.address(context.home)
    account = wallet.open_wallet(context.home, context.password(password_file))

    async def send() -> tuple[AttoFil, Receipt]:
        async with chain_of(network, account) as chain:
            if again:
                await (chain.tell_deposits() if verb == "deposited" else chain.tell_withdrawals())
            owner = Address(account.address)
            moved = await chain.ledger_balance(owner) if amount is None else amount
            if not moved:
                raise InputRefused("there is nothing to move", "see shale wallet balance")
            return moved, await (chain.deposit(moved, contract) if verb == "deposited" else chain.withdraw(moved))

    moved, receipt = run_async(send)
    if as_json:
        emit({verb + "_attofil": str(moved.value), "tx": receipt.tx, "block": receipt.block})
    else:
        click.echo(f"{verb} {moved}  (transaction {receipt.tx})")


@group.command("use-contract")
@click.argument("contract", required=False)
@click.option("--none", "nobody", is_flag=True, help="Rent as your own account again.")
@password_option
@json_option
def use_contract(contract: str | None, nobody: bool, password_file: Path | None, as_json: bool) -> None:
    """Rent as the wallet CONTRACT, for which your key signs (ERC-1271), on the network in use. It is asked first."""
    from shale.client import contracts, wallet
    from shale.client.wiring import chain_of, network_of

    if nobody == (contract is not None):
        raise InputRefused("for whom to sign is not clear", "give the contract's address, or --none")
    context = Context()
    network, address = network_of(context.home, context.network_name), None
    if contract is not None:
        address = parse_address(contract)
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def ask(found: Address) -> None:
            async with chain_of(network) as chain:
                await contracts.check_contract(chain, found, account)

        run_async(lambda: ask(address))
    contracts.use_contract(context.home, network.name, address)
    if as_json:
        emit({"network": network.name, "contract": address})
    else:
        click.echo(f"the client on {network.name} is " + (f"the contract {address}" if address else "your own account"))


group.add_command(authorize)
group.add_command(revoke)
