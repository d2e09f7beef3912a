"""Keys: the SSH key that a lease's gateway knows, and the user's own key that goes into the container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shale.errors import ConfigError, InputRefused
from shale.market.offer import key_line

_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
MAX_KEY_FILE = 16 << 10


@dataclass(frozen=True, slots=True)
class SshKey:
    """A fresh ed25519 key pair: OpenSSH's private form, and the public line without a comment."""

    private: bytes
    public: str

    def __repr__(self) -> str:
        return f"SshKey({self.public})"


@dataclass(frozen=True, slots=True)
class UserKey:
    """The user's own public key line, and the file to name to ssh as the identity."""

    line: str
    identity: str


def new_ssh_key() -> SshKey:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return SshKey(private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def find_user_key(chosen: str) -> UserKey | None:
    """The chosen key (its file with or without `.pub`), else the first usual one of ~/.ssh, else None."""
    if chosen:
        path = Path(chosen).expanduser().absolute()
        return read_user_key(path if path.suffix == ".pub" else path.with_name(path.name + ".pub"))
    for name in _USUAL:
        path = Path.home() / ".ssh" / f"{name}.pub"
        if path.is_file():
            return read_user_key(path)
    return None


def read_user_key(public: Path) -> UserKey:
    """A public key file. Raises ConfigError when it can't be read or is none."""
    try:
        with public.open("rb") as handle:
            data = handle.read(MAX_KEY_FILE + 1)
        lines = [line for line in data.decode().splitlines() if line.strip() and not line.startswith("#")]
        if len(data) > MAX_KEY_FILE or len(lines) != 1:
            raise InputRefused("not one line")
        line = key_line(lines[0].strip())
    except OSError as error:
        raise ConfigError(f"{public} can't be read ({error.strerror})", "give another --ssh-key") from None
    except (UnicodeDecodeError, InputRefused):
        raise ConfigError(f"{public} is not an SSH public key", "give another --ssh-key") from None
    private = public.with_suffix("")
    # Where the private half isn't on the disk, an agent holds it: ssh then takes the public file as its name.
    return UserKey(line, str(private if private.is_file() else public))
