"""Compares `protos/` with the main branch: what an old client relies on must not go away. Exits 1 with buf's findings.

The branch is `origin/main` where there is one, else `main`; on main itself, the commit before. Without any, which is
how a repository begins, there is nothing to break, and the program says so.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUF = Path(sys.executable).parent / "buf"


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Runs git in the repository."""
    program = shutil.which("git") or "git"
    return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, check=False)  # noqa: S603 (our own words)


def base() -> str | None:
    """Returns the commit to compare with."""
    head = git("rev-parse", "HEAD").stdout
    for name in ("origin/main", "main", "HEAD~1"):
        found = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if found.returncode == 0 and (found.stdout != head or name == "HEAD~1"):
            return found.stdout.decode().strip()
    return None


def main() -> int:
    """Compares and reports."""
    against = base()
    if against is None or git("cat-file", "-e", f"{against}:protos").returncode:
        sys.stdout.write("buf breaking: no earlier protos to compare with\n")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        archive = git("archive", against, "protos", "buf.yaml")
        subprocess.run(["/bin/tar", "-x", "-C", scratch], input=archive.stdout, check=True)  # noqa: S603 (our own words)
        result = subprocess.run([BUF, "breaking", "--against", scratch], cwd=ROOT, check=False)  # noqa: S603 (our own words)
    sys.stdout.write(f"buf breaking: compared with {against[:12]}\n")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
