"""Settings come from the environment, cannot change, and never tell a secret."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr, ValidationError

from servicekit.settings import ProcessSettings, ServiceSettings, SettingsError, variable
from services.inference.settings import InferenceSettings


class _Own(ProcessSettings):
    token: SecretStr = Field(default=SecretStr(""), max_length=16)
    key: SecretStr | None = Field(default=None, max_length=16)
    color: Literal["red", "blue"] = "red"


class _Needy(ProcessSettings):
    folder: Path


def test_a_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRIPTYCH_PORT sets port, as a number."""
    monkeypatch.setenv("TRIPTYCH_PORT", "9001")

    assert 9001 == ProcessSettings.load().port


def test_other_variables_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable without the prefix, and one of another service, change nothing."""
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("TRIPTYCH_NEVER_HEARD_OF", "1")

    assert 0 == ProcessSettings.load().port


def test_settings_are_frozen() -> None:
    """No field can be assigned."""
    loaded = ProcessSettings.load()

    with pytest.raises(ValidationError, match="frozen"):
        loaded.port = 1  # type: ignore[misc]  # mypy knows it too


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("TRIPTYCH_PORT", "99999", "less than or equal to 65535"),
        ("TRIPTYCH_PORT", "many", "valid integer"),
        ("TRIPTYCH_LOG_LEVEL", "loud", "'debug', 'info'"),
        ("TRIPTYCH_MAX_TIMEOUT_S", "0", "greater than 0"),
        ("TRIPTYCH_MAX_MESSAGE_BYTES", "10", "greater than or equal to"),
        ("TRIPTYCH_COLOR", "green", "'red' or 'blue'"),
        ("TRIPTYCH_OTLP_ENDPOINT", "collector:4318", "http://collector:4318"),
        ("TRIPTYCH_OTLP_ENDPOINT", "http://me:secret@collector", "http://collector:4318"),
        ("TRIPTYCH_TRACE_SAMPLE_RATIO", "2", "less than or equal to 1"),
    ],
)
def test_an_error_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str) -> None:
    """A wrong value is told with its variable, the rule and the value itself."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{name}: .*{why}.*, not '{value}'$"):
        _Own.load()


def test_a_missing_variable_is_named() -> None:
    """A field without default asks for its variable."""
    with pytest.raises(SettingsError, match=r"^TRIPTYCH_FOLDER: Field required$"):
        _Needy.load()


def test_every_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two wrong variables are told together."""
    monkeypatch.setenv("TRIPTYCH_PORT", "-1")
    monkeypatch.setenv("TRIPTYCH_LOG_FORMAT", "xml")

    with pytest.raises(SettingsError, match=r"(?s)TRIPTYCH_PORT.*; TRIPTYCH_LOG_FORMAT"):
        ProcessSettings.load()


def test_describe_masks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret's place holds asterisks."""
    monkeypatch.setenv("TRIPTYCH_TOKEN", "hunter2")

    assert "**********" == _Own.load().describe()["token"]


@pytest.mark.parametrize("field", ["token", "key"])
def test_an_error_masks_secrets(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """A secret that is refused is not told in the refusal, be it required or not."""
    monkeypatch.setenv(variable(field), "hunter2" * 9)

    with pytest.raises(SettingsError, match=rf"^{variable(field)}: ") as caught:
        _Own.load()
    assert "hunter2" not in str(caught.value)


def test_variable_names_a_field() -> None:
    """The name is the prefix and the field in capitals."""
    assert "TRIPTYCH_LOG_LEVEL" == variable("log_level")


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("a:1", ("a:1",)),
        ("a:1,b:2", ("a:1", "b:2")),
        (" a:1 , b:2 ,", ("a:1", "b:2")),
    ],
)
def test_triton_targets_are_split(monkeypatch: pytest.MonkeyPatch, text: str, targets: tuple[str, ...]) -> None:
    """Targets are separated by commas; blanks do not count."""
    monkeypatch.setenv("TRIPTYCH_MODEL_REPOSITORY", "models")
    monkeypatch.setenv("TRIPTYCH_TRITON_TARGETS", text)

    assert targets == InferenceSettings.load().triton_targets


def test_no_triton_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas alone name no server."""
    monkeypatch.setenv("TRIPTYCH_MODEL_REPOSITORY", "models")
    monkeypatch.setenv("TRIPTYCH_TRITON_TARGETS", " , ")

    with pytest.raises(SettingsError, match=r"TRIPTYCH_TRITON_TARGETS.*at least one"):
        InferenceSettings.load()


@pytest.mark.parametrize(("text", "path"), [("", None), ("trusted-keys", Path("trusted-keys"))])
def test_no_path_of_trusted_keys_asks_for_none(monkeypatch: pytest.MonkeyPatch, text: str, path: Path | None) -> None:
    """Compose and charts set a variable to nothing; that is not the current folder."""
    monkeypatch.setenv("TRIPTYCH_TRUSTED_KEYS", text)

    assert path == ServiceSettings.load().trusted_keys
