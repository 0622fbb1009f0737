"""Which model a cluster answers with when a request names none."""

from pathlib import Path

from gateway.settings import GatewaySettings
from localcluster.layout import servable_models


def default_model(repository: Path, chosen: str) -> str:
    """Returns what the user chose, else the only model of the repository, else the gateway's own default."""
    models = servable_models(repository)
    only = models[0] if len(models) == 1 else ""
    return chosen or only or str(GatewaySettings.model_fields["default_model"].default)
