"""A Hugging Face hub at the wire: it serves files of repositories as the hub does, to whatever speaks with one.

It stands for the hub's API of models, trees and files, as huggingface_hub asks it: each file with its commit, ETag and
length, also in ranges. It fakes that there is git behind it, a commit is a hash of files that a test puts, and sends
large files itself, where the hub sends clients on to another store.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """Is a hub on a free port."""

    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    """Files by name, by commit, by repository."""
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    """Commit by branch or tag, by repository."""
    gated: set[str] = field(default_factory=set)
    """Repositories whose files need consent."""
    sends_bytes: int | None = None
    """After so many bytes of a file it hangs up; None sends all."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by method and path."""
    url: str = ""

    def put(self, repository: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Commits files; returns the commit."""
        text = json.dumps([(name, hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items())])
        commit = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits.setdefault(repository, {})[commit] = dict(files)
        self.branches.setdefault(repository, {})[branch] = commit
        return commit

    @contextmanager
    def running(self) -> Iterator["Hub"]:
        """Listens while the context is open."""
        server = _Server(self)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name there
        """Says nothing."""

    def do_HEAD(self) -> None:
        """Answers without a body."""
        self._answer()

    def do_GET(self) -> None:
        """Answers."""
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        self.server.hub.asked[f"{self.command} {path}"] += 1
        words = [unquote(word) for word in path.strip("/").split("/")]
        api = words[:2] == ["api", "models"]
        repository = "/".join(words[2:4] if api else words[:2])
        rest = words[4:] if api else words[2:]
        files, commit = self._found(repository, rest[1] if len(rest) > 1 else "main")
        if files is None or commit is None:
            return
        if api:
            listed = [_listed(name, data) for name, data in files.items()]
            told = {
                "id": repository,
                "modelId": repository,
                "sha": commit,
                "siblings": [],
                "tags": [],
                "private": False,
            }
            self._send(json.dumps(listed if rest[:1] == ["tree"] else told).encode(), "application/json")
        elif rest[0] == "resolve":
            self._send_file(repository, commit, files, "/".join(rest[2:]))
        else:
            self._refuse(404, "EntryNotFound", "no such page")

    def _found(self, repository: str, revision: str) -> tuple[dict[str, bytes] | None, str | None]:
        hub = self.server.hub
        if repository not in hub.commits:
            self._refuse(401, "RepoNotFound", "Invalid username or password.")  # as the hub answers strangers
            return None, None
        commit = hub.branches[repository].get(revision, revision)
        files = hub.commits[repository].get(commit)
        if files is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return files, commit

    def _send_file(self, repository: str, commit: str, files: Mapping[str, bytes], name: str) -> None:
        if repository in self.server.hub.gated:
            self._refuse(403, "GatedRepo", "Access to this model is restricted.")
        elif name not in files:
            self._refuse(404, "EntryNotFound", f"{name} not found")
        else:
            headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(files[name]).hexdigest()}"'}
            self._send(files[name], "application/octet-stream", headers, self.server.hub.sends_bytes)

    def _send(
        self, data: bytes, kind: str, headers: Mapping[str, str] | None = None, most_bytes: int | None = None
    ) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        ranged = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if "Range" in self.headers else {}
        shown = {"Content-Type": kind, "Content-Length": str(len(data) - start), "Accept-Ranges": "bytes"}
        for name, value in {**shown, **ranged, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[start:most_bytes])
            self.close_connection = most_bytes is not None

    def _refuse(self, status: int, code: str, text: str) -> None:
        self.send_response(status)
        for name, value in {"X-Error-Code": code, "X-Error-Message": text, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()


def _listed(name: str, data: bytes) -> dict[str, object]:
    """Describes a file as a tree does; the hub keeps safetensors beside git, by their sha256."""
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
    listed: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": blob}
    if name.endswith((".safetensors", ".bin")):
        listed["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return listed
