"""The commands below `triptych model` about signatures, and the options of those that write manifests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modelkit.signing.signer import Signer

SigningKey = Annotated[
    Path | None,
    typer.Option(
        "--signing-key",
        envvar="TRIPTYCH_SIGNING_KEY",
        help="Private key that signs the manifest; a model that is signed cannot be changed without one.",
        show_default=False,
    ),
]
TrustedKeysFile = Annotated[
    Path | None,
    typer.Option(
        "--trusted-keys",
        envvar="TRIPTYCH_TRUSTED_KEYS",
        help="File of the public keys whose signatures count.",
        show_default=False,
    ),
]
KEY_FILE = Path(".triptych/signing-key.pem")

app = typer.Typer(help="Make keys that sign manifests.", no_args_is_help=True)


def add_commands(models: typer.Typer) -> None:
    """Adds the commands to `triptych model`."""
    models.add_typer(app, name="key")
    models.command("sign")(sign)


def signer_or_fail(signing_key: Path | None, trusted_keys: Path | None) -> "Signer | None":
    """Returns who signs, None where nobody does; a wrong file ends the command with a sentence."""
    from modelkit.signing.signer import signer_of
    from servicekit.signatures import SignatureError

    try:
        return signer_of(signing_key, trusted_keys)
    except SignatureError as error:
        raise _failed(error) from error


@app.command("new")
def new(
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the private key goes; never over another.")
    ] = KEY_FILE,
) -> None:
    """Makes a private key, and prints the public one as a line for a file of trusted keys.

    \b
    triptych model key new --out signing-key.pem >> trusted-keys
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    from modelkit.signing.keys import new_key
    from servicekit.signatures import SignatureError

    try:
        public = new_key(out)
    except SignatureError as error:
        raise _failed(error) from error
    typer.echo(public.line)
    typer.echo(f"The private key is in {out}: keep it where only publishers are. Its id is {public.id}.", err=True)


@app.command("show")
def show(key: Annotated[Path, typer.Argument(help="File of a private key.")] = KEY_FILE) -> None:
    """Prints the public half of a private key, as a line for a file of trusted keys."""
    from modelkit.signing.keys import public_of, read_key
    from servicekit.signatures import SignatureError

    try:
        typer.echo(public_of(read_key(key)).line)
    except SignatureError as error:
        raise _failed(error) from error


def sign(
    name: Annotated[str, typer.Argument(help="The model.", show_default=False)],
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
    repository: Annotated[Path, typer.Option(help="Folder of the model repository.")] = Path("triton_models"),
) -> None:
    """Signs a model as it is there: for the first time, or with another key once that is trusted.

    Every file is compared with what the manifest says of it, where it says something. What it says is for you to judge.
    """
    from modelkit.gate import GateError
    from modelkit.signing.manifests import sign_model
    from servicekit.manifest import ManifestError

    signer = signer_or_fail(signing_key, trusted_keys)
    if signer is None:
        raise typer.BadParameter("name a private key with --signing-key or TRIPTYCH_SIGNING_KEY")
    try:
        manifest = sign_model(repository, name, signer)
    except (GateError, ManifestError) as error:
        raise _failed(error) from error
    versions = ", ".join(sorted(manifest.versions, key=int))
    typer.echo(f"{name}: versions {versions} are signed by the key {signer.public.id}")


def _failed(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(1)
