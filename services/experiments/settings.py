"""Settings of the experiments service."""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator, model_validator

from servicekit.settings import ServiceSettings, variable
from services.experiments.database import engine_url

DAY_S = 24 * 60 * 60.0
GIB = 1024**3


class ExperimentsSettings(ServiceSettings):
    """Says where experiments, predictions and feedback are kept, and for how long."""

    data_dir: Path
    """Folder of the journal, through which every fact goes, and of the database unless `database_url` names one. One
    process at a time uses it."""
    database_url: SecretStr | None = None
    """Database: `postgresql://user:password@host/name`, which several replicas may share, or `sqlite:////path`; by
    default SQLite in `data_dir`."""
    database_url_file: Path | None = None
    """File that holds that URL instead, so that no variable holds its password; read once, at the start."""
    verdict_interval_s: float = Field(default=2.0, gt=0)
    """Pause between two looks at the facts of a running experiment."""
    prediction_ttl_s: float = Field(default=30 * DAY_S, gt=0)
    """How long predictions and their labels are kept; those of an experiment that runs, until it ends."""
    image_ttl_s: float = Field(default=7 * DAY_S, gt=0)
    """How long images of predictions are kept, where a gateway sends any."""
    journal_max_bytes: int = Field(default=GIB, ge=16 * 1024**2)
    """Largest size of the journal, which grows while the database is away: then nothing more is taken. Predictions are
    refused from 80% on, so that feedback still has room."""

    @model_validator(mode="before")
    @classmethod
    def _read_database_url(cls, values: dict[str, Any]) -> dict[str, Any]:
        file, given = values.get("database_url_file"), values.get("database_url")
        if not file:
            return {**values, "database_url_file": None}
        if given:
            raise ValueError(f"{variable('database_url')} and {variable('database_url_file')} exclude each other")
        try:
            return {**values, "database_url": Path(file).read_text().strip()}
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"{variable('database_url_file')} cannot be read: {reason}") from None

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        engine_url(value.get_secret_value())
        return value

    @property
    def database(self) -> str:
        """Returns the URL of the database in use."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'experiments.db'}"
