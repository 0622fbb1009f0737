"""Fetches models from a Hugging Face hub: chosen files of one commit, through the cache of its library."""

import re
from collections.abc import Sequence
from pathlib import Path

from modelkit.importing.loaded import first_line
from modelkit.train.recipe import RecipeError
from modelkit.train.run import Downloaded

_ID = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?", re.ASCII)


def split_id(text: str) -> tuple[str, str | None]:
    """Splits `ORG/NAME@REVISION`; a revision is a branch, a tag or a commit, and may be left out.

    Raises:
        RecipeError: it is no such id.
    """
    found = _ID.fullmatch(text)
    if found is None:
        raise RecipeError(f"{text}: there is no such folder, and it is no hub id, ORG/NAME or ORG/NAME@REVISION")
    return found["repository"], found["revision"]


def fetch(repository: str, revision: str | None, files: Sequence[str]) -> tuple[Path, Downloaded]:
    """Fetches files, all of one commit; where the hub cannot be reached, the cache answers if it has them all.

    Args:
        repository: `ORG/NAME`.
        revision: branch, tag or commit; None is the main branch.
        files: names or patterns.

    Returns:
        Their folder, and which commit they are of.

    Raises:
        RecipeError: the hub has no such thing, wants a token, or cannot be reached.
    """
    from huggingface_hub import constants, errors, snapshot_download  # noqa: PLC0415 -- half a second

    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=list(files)))
    except errors.GatedRepoError as error:
        raise RecipeError(f"{repository} is gated: accept its terms on the hub, and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise RecipeError(
            f"{constants.ENDPOINT} has no model {repository}, or shows it to nobody without its HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise RecipeError(f"{repository} has no revision {revision!r}") from error
    except Exception as error:  # the library lets those of its HTTP client through, which changed from one to the next
        raise RecipeError(f"{repository} cannot be fetched from {constants.ENDPOINT}: {first_line(error)}") from error
    return folder, Downloaded(repository, folder.name)
