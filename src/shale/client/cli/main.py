"""Main: the `shale` command: its commands by name, its global options, and the one place where errors are shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from shale.client.cli.lazy import Entry, LazyGroup
from shale.errors import ShaleError

_HERE = "shale.client.cli"

COMMANDS = {
    "ls": Entry(f"{_HERE}.ls:command", "List providers, what they have free, and their datasets.", "Rent"),
    "datasets": Entry(f"{_HERE}.datasets:command", "List the datasets that providers hold.", "Rent"),
    "reviews": Entry(f"{_HERE}.reviews:command", "Read what clients say of a provider.", "Rent"),
    "up": Entry(f"{_HERE}.up:command", "Rent a container next to a dataset.", "Rent"),
    "order": Entry(f"{_HERE}.order:group", "Rent by plain transactions, without signed messages.", "Rent"),
    "ps": Entry(f"{_HERE}.ps:command", "List your leases.", "Rent"),
    "run": Entry(f"{_HERE}.run:command", "Run a command in a lease's container.", "Rent"),
    "verify": Entry(f"{_HERE}.verify:command", "Prove that a lease has the dataset that you ordered.", "Rent"),
    "watch": Entry("shale.client.tui.watch:command", "Watch leases live: time, money, health.", "Rent"),
    "end": Entry(f"{_HERE}.end:command", "End a lease.", "Rent"),
    "topup": Entry(f"{_HERE}.topup:command", "More time and money for a running lease.", "Rent"),
    "exit": Entry(f"{_HERE}.exit:command", "Get your deposit back from a silent provider.", "Rent"),
    "review": Entry(f"{_HERE}.review:command", "Rate the provider of a settled lease.", "Rent"),
    "wallet": Entry(f"{_HERE}.wallet:group", "Your key and your money.", "Set up"),
    "network": Entry(f"{_HERE}.chain:network_group", "The chains that you use.", "Set up"),
    "ssh-config": Entry(f"{_HERE}.ssh_config:command", "Let plain ssh find your leases.", "Set up"),
    "completion": Entry(f"{_HERE}.completion:command", "Print your shell's completion script.", "Set up"),
    "agent": Entry("shale.client.agent.cli:group", "The process that pays for your leases.", "Run"),
    "provider": Entry("shale.provider.cli.main:group", "Lease out this machine.", "Run"),
    "piece": Entry(f"{_HERE}.piece:group", "Pack a folder as a dataset, and look into one.", "Run"),
    "ledger": Entry(f"{_HERE}.ledger:group", "A provider's ledger, by the chain alone.", "Run"),
    "chain": Entry(f"{_HERE}.chain:chain_group", "A chain of your own, and Shale's contracts on one.", "Run"),
    "ceremony": Entry(f"{_HERE}.ceremony:group", "Make proving keys that nobody has to be trusted for.", "Run"),
    "demo": Entry("shale.demo.cli:command", "Show all of it on this machine.", "Run"),
}


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: shale wallet new, then shale ls, then shale up --dataset CID:/data.",
)
@click.option("--network", metavar="NAME", help="The chain to use; needed only if you have set up several.")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for all that Shale keeps (also: SHALE_HOME).",
)
@click.version_option(package_name="shale", prog_name="shale")
@click.pass_context
def cli(ctx: click.Context, network: str | None, home: Path | None) -> None:
    """Rent a machine next to the dataset: plain ssh, paid by the tick."""
    if home is not None:
        # Every part finds the home by itself, the agent that is started from here too.
        os.environ["SHALE_HOME"] = str(home.absolute())
    ctx.obj = {"network": network}


def main() -> None:
    """The program. Its status: 0 done, 1 an error of ours, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:]
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit status; errors are shown here and nowhere else."""
    as_json = "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)
    try:
        status: Any = cli.main(args=arguments, prog_name="shale", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "shale"
        message = error.format_message().rstrip(".").replace("\n", " ")
        _show(as_json, "usage", message[:1].lower() + message[1:], f"see {where} --help")
        return 2
    except click.ClickException as error:
        _show(as_json, "refused", error.format_message(), "")
        return 1
    except ShaleError as error:
        _show(as_json, error.code, error.message, error.hint)
        return error.exit_status
    except UnicodeEncodeError:
        if not any("\udc80" <= char <= "\udcff" for argument in arguments for char in argument):
            raise
        _show(as_json, "refused", "an argument is not UTF-8", "give it in UTF-8")
        return 1
    except (KeyboardInterrupt, click.Abort):
        print(file=sys.stderr)
        _show(as_json, "closed", "interrupted", "")
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status if isinstance(status, int) else 0


def _show(as_json: bool, code: str, message: str, hint: str) -> None:
    if as_json:
        import json

        print(json.dumps({"error": {"code": code, "message": message, "hint": hint}}))
    else:
        print(f"shale: error: {message}: {hint}" if hint else f"shale: error: {message}", file=sys.stderr)
