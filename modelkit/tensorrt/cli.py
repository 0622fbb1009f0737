"""The commands `triptych model build-engine` and `verify-engines`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelkit.signing.cli import SigningKey, TrustedKeysFile, signer_or_fail
from modelkit.tensorrt.api import Runtime
from modelkit.train.cli import told

if TYPE_CHECKING:
    from modelkit.tensorrt.manifest import EngineManifest
    from modelkit.tensorrt.store import EngineStore

Repository = Annotated[Path, typer.Option(help="Folder of the model repository.")]
REPOSITORY = Path("triton_models")
Engines = Annotated[Path, typer.Option(help="Folder of the plans.")]
ENGINES = Path(".triptych/engines")


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to `triptych model`."""
    app.command("build-engine")(build_engine)
    app.command("verify-engines")(verify_engines)


def build_engine(
    model: Annotated[
        str, typer.Argument(help="MODEL or MODEL:VERSION; without a version the live one.", show_default=False)
    ],
    repository: Repository = REPOSITORY,
    engines: Engines = ENGINES,
    runtime: Annotated[
        Runtime, typer.Option(help="tensorrt is Triton's, and needs the GPU; tensorrt-rtx builds without one.")
    ] = "tensorrt",
    target: Annotated[
        list[str] | None,
        typer.Option(help="GPU to build for, such as sm89; may be repeated. By default the one here."),
    ] = None,
    opt_batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures to tune for; by default a quarter of max_batch_size.")
    ] = None,
    level: Annotated[
        int | None, typer.Option(min=0, max=5, help="How long to look for fast kernels; by default TensorRT's 3.")
    ] = None,
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
) -> None:
    """Builds a TensorRT plan of a published version, and keeps it under a name that says all it depends on.

    With keys, a trusted one must have signed the model; a plan that is there counts only if one has signed that, too.

    \b
    triptych model build-engine efficientnet_lite0
    triptych model build-engine efficientnet_lite0:1 --runtime tensorrt-rtx --target sm89 --target sm120
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with told():
        from modelkit.tensorrt.engines import Order, build_engines
        from modelkit.tensorrt.store import EngineStore
        from servicekit.signatures import checking

        name, _, version = model.partition(":")
        order = Order(name, version, runtime, tuple(target or ()), opt_batch, level)
        store = EngineStore(engines, signer_or_fail(signing_key, trusted_keys), checking(trusted_keys))
        for engine in build_engines(repository, store, order, _note):
            made = engine.manifest
            how = f"built in {made.build_seconds:.1f} s" if engine.fresh else "is built already"
            typer.echo(f"{engine.plan}  {_fits(made)}, {how}{_signed(made, store)}")


def verify_engines(
    repository: Repository = REPOSITORY, engines: Engines = ENGINES, trusted_keys: TrustedKeysFile = None
) -> None:
    """Looks whether every plan is the one that was built, under its own name, of a file that is still published.

    With trusted keys, one of them must have signed its manifest, and the model's.
    """
    with told():
        from modelkit.tensorrt.manifest import EngineError
        from modelkit.tensorrt.store import EngineStore
        from modelkit.tensorrt.verifying import verify_engine
        from servicekit.signatures import checking

        store = EngineStore(engines, check=checking(trusted_keys))
        if store.check is None:
            _note(f"without --trusted-keys, whoever can write {engines} may have written all of it")
        keys, wrong = store.list_keys(), 0
        for key in keys:
            try:
                made = verify_engine(repository, store, key)
            except EngineError as error:
                typer.echo(f"error: {error}", err=True)
                wrong += 1
            else:
                typer.echo(f"{key}  {made.model} {made.version}, {_fits(made)}, as built{_signed(made, store)}")
        if not keys:
            raise EngineError(f"{engines} holds no plan")
        if wrong:
            raise EngineError(f"{wrong} of {len(keys)} plans in {engines} must not be used")


def _note(text: str) -> None:
    typer.echo(f"note: {text}", err=True)


def _fits(made: "EngineManifest") -> str:
    return f"{made.runtime} {made.tensorrt}, {made.gpu or 'compute capability'} {made.compute_capability}"


def _signed(made: "EngineManifest", store: "EngineStore") -> str:
    if made.signature is None or store.check is None:
        return ""
    return f", signed by the trusted key {made.signature.key_id}"
