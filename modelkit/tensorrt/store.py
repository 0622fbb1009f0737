"""The engine store: plans, each in a folder that is named by all that it depends on, as the chart's Jobs write it."""

from pathlib import Path

from modelkit.shelf import exclusive, place_folder
from modelkit.signing.files import sha256_of
from modelkit.signing.manifests import manifest_text
from modelkit.signing.signer import Signer
from modelkit.tensorrt.manifest import MANIFEST_FILE, EngineError, EngineManifest, read_engine_manifest
from servicekit.manifest import Check
from servicekit.signatures import SignatureError

PLAN_FILE = "model.plan"


class EngineStore:
    """Is a folder of plans, and knows whose count."""

    def __init__(self, folder: Path, signer: Signer | None = None, check: Check | None = None) -> None:
        """Takes a folder.

        Args:
            folder: it need not be there before a plan is kept.
            signer: signs what is kept.
            check: says which manifests to trust, by default those that the signer does; without either all are.
        """
        self.check = signer.trusted.check if check is None and signer is not None else check
        self._folder = folder
        self._signer = signer

    def list_keys(self) -> list[str]:
        """Returns the names of the plans' folders; what is hidden is being written."""
        return sorted(path.name for path in self._folder.glob("[!.]*") if path.is_dir())

    def plan(self, key: str) -> Path:
        """Returns where a plan lies."""
        return self._folder / key / PLAN_FILE

    def find(self, key: str) -> EngineManifest | None:
        """Returns the manifest of a plan that is there; None without one.

        Raises:
            EngineError: its manifest is wrong, or not to be trusted; or the plan is not the one that was built.
        """
        folder = self._folder / key
        if not folder.exists():
            return None
        manifest = read_engine_manifest(folder, self.check)
        try:
            found = sha256_of(self.plan(key).read_bytes())
        except OSError as error:
            raise EngineError(f"{self.plan(key)} cannot be read: {error.strerror}") from error
        if found != manifest.plan_sha256:
            raise EngineError(
                f"{self.plan(key)} is not the plan that was built: its sha256 begins with {found[:12]}, `plan_sha256` "
                f"in its manifest with {manifest.plan_sha256[:12]}"
            )
        return manifest

    def check_signer(self, key: str) -> None:
        """Lets a plan be built that will be signed, or need not be.

        Raises:
            SignatureError: nobody would sign it, but signatures are asked for, or what it would replace has one.
        """
        if self._signer is None and (self.check is not None or self._is_signed(key)):
            raise SignatureError(
                f"the plan {self.plan(key)} has to be built, and nobody would sign it: name a private key with "
                "--signing-key or TRIPTYCH_SIGNING_KEY"
            )

    def keep(self, manifest: EngineManifest, plan: bytes) -> EngineManifest:
        """Puts a plan and its manifest into the store, whole or not at all, and returns the manifest as it is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        written = manifest_text(manifest, self._signer).encode()
        with exclusive(self._folder):
            place_folder(self._folder / manifest.key, {PLAN_FILE: plan, MANIFEST_FILE: written})
        return EngineManifest.model_validate_json(written)

    def _is_signed(self, key: str) -> bool:
        """Says so of a manifest that may be wrong otherwise."""
        path = self._folder / key / MANIFEST_FILE
        return path.is_file() and b'"signature"' in path.read_bytes()
