"""What can be asked for: the models that the inference service told of last, and which of them is the default."""

from collections.abc import Sequence
from typing import NamedTuple

from servicekit.errors import InvalidArgument, Reason, Unavailable, unknown_model, unknown_version
from triptych.classification.v1 import model_pb2
from triptych.inference.v1 import model_pb2 as inference_model_pb2


class Choice(NamedTuple):
    """Is what a request will be answered by."""

    model: str
    version: str
    """The one asked for, or the default one."""
    fingerprint: str
    """Of all else that decides the answer."""
    input_bytes: int
    """Of the model's input for one image."""


class ModelDirectory:
    """Knows the models, as of the last successful check."""

    def __init__(self, default: str) -> None:
        self.default = default
        self._models: dict[str, inference_model_pb2.Model] = {}
        self._labels: dict[tuple[str, str], frozenset[str]] = {}
        """By name and fingerprint; empty where they are not known."""
        self._all_labels: frozenset[str] = frozenset()

    def update(self, models: Sequence[inference_model_pb2.Model]) -> None:
        """Takes over what the inference service says; labels that it told before need not be told again."""
        self._models = {model.name: model for model in models}
        known = self._labels
        self._labels = {
            key: frozenset(model.labels) or known.get(key, frozenset())
            for model in models
            for key in [(model.name, model.fingerprint)]
        }
        if self._labels != known:
            self._all_labels = frozenset() if self.lacks_labels else frozenset().union(*self._labels.values())

    @property
    def lacks_labels(self) -> bool:
        """Says whether the labels of a model are not known."""
        return not self._labels or not all(self._labels.values())

    def labels(self) -> frozenset[str]:
        """Returns the labels of all models; none unless those of all are known."""
        return self._all_labels

    def most_classes(self) -> int:
        """Returns how many classes the model with the most has; 0 while no model is known."""
        return max((model.class_count for model in self._models.values()), default=0)

    def lose(self, detail: str) -> None:
        """Says of every version that it takes no requests, and why, when nobody knows better any more."""
        for model in self._models.values():
            model.default_version = ""
            for version in model.versions:
                version.state = inference_model_pb2.MODEL_STATE_UNAVAILABLE
                version.detail = detail

    def problem(self) -> str | None:
        """Says why the default model cannot answer, or None when it can."""
        model = self._models.get(self.default)
        if model is None:
            return f"The default model {self.default!r} is not in the model repository."
        if not self.is_ready(self.default, ""):
            return next((version.detail for version in model.versions if version.detail), "It has no version.")
        return None

    def is_ready(self, model: str, version: str) -> bool:
        """Says whether a version of a model takes requests; without one, whether requests that name none are taken."""
        found = self._models.get(model)
        if found is None:
            return False
        wanted = version or found.default_version
        ready = inference_model_pb2.MODEL_STATE_READY
        return any(each.version == wanted and each.state == ready for each in found.versions)

    def default_version(self, model: str) -> str:
        """Returns the version that answers requests that name none; empty while there is none."""
        found = self._models.get(model)
        return "" if found is None else found.default_version

    def instances(self) -> int:
        """Returns how many batches of one version are computed at the same time, of the ready version with the most."""
        versions = (version for model in self._models.values() for version in model.versions)
        ready = inference_model_pb2.MODEL_STATE_READY
        return max((version.instances for version in versions if version.state == ready), default=0)

    def resolve(self, model: str, version: str) -> Choice:
        """Returns the model and version to use.

        Raises:
            Unavailable: nothing is known yet, or no Triton has it ready.
            NotFound: there is no such model or version.
            InvalidArgument: the version is not a number.
        """
        found = self._find(model or self.default)
        name = found.name
        if version and not (version.isascii() and version.isdecimal()):
            raise InvalidArgument(
                f"version must be a decimal number such as '1'; it is {version[:32]!r}.", field="version"
            )
        versions = [each.version for each in self._models[name].versions]
        if version and version not in versions:
            raise unknown_version(name, version, versions)
        if not self.is_ready(name, version):
            what = f"Version {version} of the model" if version else "The model"
            message = f"{what} {name!r} is not ready at the moment."
            raise Unavailable(message, reason=Reason.MODEL_NOT_READY, retry_after_s=1.0)
        input_bytes = found.input_width_px * found.input_height_px * 3
        return Choice(name, version or found.default_version, found.fingerprint, input_bytes)

    def _find(self, name: str) -> inference_model_pb2.Model:
        if not self._models:
            raise Unavailable("The models are not known yet; the cluster is starting.", retry_after_s=1.0)
        if name not in self._models:
            raise unknown_model(name, self._models)
        return self._models[name]

    def describe(self) -> list[model_pb2.Model]:
        """Returns every model in the public form, sorted by name."""
        return [self._public(self._models[name]) for name in sorted(self._models)]

    def find(self, name: str) -> model_pb2.Model:
        """Returns one model in the public form.

        Raises:
            InvalidArgument: no name was given.
            NotFound: there is no such model.
            Unavailable: nothing is known yet.
        """
        if not name:
            raise InvalidArgument("A model name is required.", reason=Reason.FIELD_MISSING, field="model")
        return self._public(self._find(name))

    def _public(self, model: inference_model_pb2.Model) -> model_pb2.Model:
        return model_pb2.Model(
            name=model.name,
            title=model.title,
            input_width_px=model.input_width_px,
            input_height_px=model.input_height_px,
            class_count=model.class_count,
            default=model.name == self.default,
            versions=[
                model_pb2.ModelVersion(
                    version=version.version,
                    state=model_pb2.ModelState.Name(version.state),
                    detail=version.detail,
                    backend=version.backend,
                )
                for version in model.versions
            ],
        )
