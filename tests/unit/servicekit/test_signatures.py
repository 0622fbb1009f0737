"""Signatures: what a trusted key signed passes, and nothing else does."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.repository import manifest, write_model
from fakes.signatures import signed, signer, write_trusted
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from servicekit.manifest import ManifestError, Signature, read_manifest
from servicekit.signatures import PublicKey, SignatureError, TrustedKeys, canonical, checking, read_trusted_keys

ME, OTHER = signer(1), signer(2)
FULL = {**manifest(temperatures={"1": 1.0, "2": 1.5}), "default_version": "1", "files": {"labels.txt": "a" * 64}}

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, max_size=4)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of every value that holds no others."""
    if not isinstance(value, dict):
        yield path
        return
    for key, inner in value.items():
        yield from places(inner, (*path, key))


def changed(value: Any, path: tuple[Any, ...]) -> Any:
    """Returns the same with another value at a path."""
    if not path:
        return value + 1 if isinstance(value, int | float) else f"{value}0"
    return {**value, path[0]: changed(value[path[0]], path[1:])}


def trusted(document: dict[str, Any]) -> bool:
    """Says whether a manifest passes for one of mine."""
    signature = Signature.model_validate(document["signature"])
    try:
        TrustedKeys([ME.public]).check(Path("models/tiny/manifest.json"), document, signature)
    except SignatureError:
        return False
    return True


def test_the_signed_bytes_are_these() -> None:
    """Keys sorted at every depth, no spaces, UTF-8, no signature: whoever signs elsewhere must write the same."""
    document = {"b": {"z": 1, "a": [1.5, None, True]}, "signature": {"key_id": "x"}, "a": 'é"'}
    assert '{"a":"é\\"","b":{"a":[1.5,null,true],"z":1}}'.encode() == canonical(document)


def test_it_is_the_ed25519_of_everybody() -> None:
    """The first example of RFC 8032 verifies, and does not for another message."""
    key = PublicKey(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert (True, False) == (key.signed(b"", signature), key.signed(b"x", signature))


@given(DOCUMENTS)
def test_the_way_it_is_written_does_not_count(document: dict[str, Any]) -> None:
    """Read back from a file with spaces, and its keys in another order, it is what was signed."""
    text = json.dumps(signed(document, ME), indent=3)
    reordered = dict(reversed(from_json(text).items()))
    assert trusted(reordered)


@given(DOCUMENTS, TEXT, VALUES)
def test_what_is_written_does(document: dict[str, Any], key: str, value: Any) -> None:
    """With one more key, or another value of one, it is no longer what was signed."""
    other = {**signed(document, ME), key: value}
    same = canonical(other) == canonical(document)
    assert same or not trusted(other)


@pytest.mark.parametrize("path", list(places(FULL)), ids=lambda path: ".".join(map(str, path)))
def test_no_field_can_be_changed(path: tuple[Any, ...]) -> None:
    """Each field that a manifest has is signed."""
    document = signed(FULL, ME)
    assert trusted(document)
    assert not trusted(changed(document, path))


@settings(deadline=None)
@given(st.data())
def test_no_bit_of_the_file_matters_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """With any byte of the file replaced, it is refused, or says what it said before."""
    folder = write_model(tmp_path_factory.mktemp("models"), signed(FULL, ME))
    before = read_manifest(folder, ME.trusted.check)
    file = folder / "manifest.json"
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    with suppress(ManifestError):
        assert before == read_manifest(folder, ME.trusted.check)


def test_a_key_twice_does_not_hide_another_value(tmp_path: Path) -> None:
    """What is verified is what is used: of a repeated key both take the last value."""
    folder = write_model(tmp_path, signed(FULL, ME))
    file = folder / "manifest.json"
    file.write_text(file.read_text().replace('"title": "Tiny"', '"title": "Tiny", "title": "Huge"'))
    with pytest.raises(SignatureError, match=r"`signature\.value`"):
        read_manifest(folder, ME.trusted.check)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (FULL, "`signature` is missing: nobody has signed it"),
        (signed(FULL, OTHER), rf"`signature\.key_id` is {OTHER.public.id}, which is none of the trusted keys"),
        ({**signed(FULL, ME), "title": "Huge"}, r"`signature\.value` is not what the key .* signed: .* changed"),
        (
            {**FULL, "signature": {"key_id": ME.public.id, "value": OTHER.sign(FULL).value}},
            r"`signature\.value` is not what the key",
        ),
    ],
    ids=["unsigned", "of a stranger", "tampered with", "under a borrowed name"],
)
def test_the_error_names_model_field_and_reason(tmp_path: Path, document: dict[str, Any], words: str) -> None:
    """Whoever reads the log knows which manifest is refused, and why."""
    folder = write_model(tmp_path, document)
    with pytest.raises(SignatureError, match=rf"tiny/manifest\.json is not trusted: {words}"):
        read_manifest(folder, ME.trusted.check)
    assert "tiny" == read_manifest(folder).name  # who asks for no signature reads it


def test_keys_are_replaced_in_three_steps(tmp_path: Path) -> None:
    """While both are trusted either may sign; then the old one is nobody's."""
    old, new = (write_model(tmp_path / name, signed(FULL, by)) for name, by in (("old", ME), ("new", OTHER)))
    file = tmp_path / "trusted"
    write_trusted(file, ME, OTHER)
    assert {"tiny"} == {read_manifest(folder, checking(file)).name for folder in (old, new)}
    write_trusted(file, OTHER)
    assert "tiny" == read_manifest(new, checking(file)).name
    with pytest.raises(SignatureError, match="none of the trusted keys"):
        read_manifest(old, checking(file))


@pytest.mark.parametrize(
    "signature",
    [
        {**ME.sign(FULL).model_dump(), "algorithm": "none"},
        {"key_id": ME.public.id, "value": ""},
        {"key_id": ME.public.id, "value": ME.sign(FULL).value.upper()},
        {"key_id": "", "value": ME.sign(FULL).value},
        "signed",
    ],
)
def test_a_signature_has_one_form(tmp_path: Path, signature: object) -> None:
    """It cannot choose an algorithm, and cannot be written in two ways."""
    with pytest.raises(ManifestError, match=r"(?s)not a valid manifest.*signature"):
        read_manifest(write_model(tmp_path, {**FULL, "signature": signature}))


def test_no_file_no_question() -> None:
    """Without trusted keys nothing is checked."""
    assert checking(None) is None


def test_comments_and_empty_lines_do_not_count(tmp_path: Path) -> None:
    """A file of trusted keys is written by people."""
    file = tmp_path / "trusted"
    file.write_text(f"# publishers\n\n  {ME.public.line} of Ann, until June \ned25519 {OTHER.public.raw.hex()}\n")
    keys = read_trusted_keys(file)
    assert (True, True, False) == (ME.public in keys, OTHER.public in keys, signer(3).public in keys)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("# nobody\n", "holds no key"),
        ("\nrsa 00ff\n", "line 2 .* 'rsa' is no algorithm that signs manifests: only ed25519 does"),
        ("ed25519\n", "line 1 .* not like `ed25519 KEY`"),
        ("ed25519 00ff\n", "line 1 .* not 64 hexadecimal digits"),
        (f"ed25519 {'A' * 64}\n", "line 1 .* in small letters"),
        ("-----BEGIN PUBLIC KEY-----\n", "line 1 .* no algorithm"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_wrong_file_of_keys_is_an_error(tmp_path: Path, content: str | bytes, words: str) -> None:
    """Nobody is trusted by mistake, nor a line left out in silence."""
    file = tmp_path / "trusted"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SignatureError, match=words):
        read_trusted_keys(file)


def test_a_missing_file_of_keys_is_an_error(tmp_path: Path) -> None:
    """It is not taken for nobody asking."""
    with pytest.raises(SignatureError, match="cannot be read"):
        checking(tmp_path / "nowhere")
