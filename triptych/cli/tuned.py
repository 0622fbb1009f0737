"""The tuned settings: what `triptych tune` leaves for `triptych up`, and why that starts with them or does not."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.cli.output import err, out
from triptych.cli.tune_report import verdict

if TYPE_CHECKING:
    from localcluster.options import UpOptions
    from localcluster.tuned_file import Tuned
    from localcluster.tuning import Outcome


def keep(outcome: "Outcome", options: "UpOptions") -> None:
    """Writes the file for the next `triptych up`, and says so; only what is proven takes the place of another file.

    Raises:
        OSError: the file can be neither read nor written.
    """
    from localcluster.default_model import default_model
    from localcluster.environment import config_directory
    from localcluster.machine import this_machine
    from localcluster.tuned_file import Tuned, tuned_path, write

    path = tuned_path(config_directory(), colocated=options.colocated)
    if not outcome.proven and _is_sound(path):
        kept = f"Nothing is proven better than the defaults: {path} stays as it is."
        out().print(kept, markup=False, soft_wrap=True)
        return
    settings = {variable: str(value) for variable, value in outcome.proven.items()}
    model = default_model(options.model_repository, options.model)
    write(path, Tuned(settings, this_machine(), model, date.today(), verdict(outcome)))  # noqa: DTZ011 (the user's day)
    then = "`triptych up` starts with these settings" if settings else "`triptych up` starts with the defaults"
    out().print(f"Written to {path}: {then}.", markup=False, soft_wrap=True)


def _is_sound(path: Path) -> bool:
    from localcluster.tuned_file import TunedFileError, read

    try:
        return read(path) is not None
    except TunedFileError:
        return False


def tuned_settings(options: "UpOptions") -> Mapping[str, str]:
    """Returns the variables of the tuned file that fits the options, and says so; none where there is no such file.

    A file of another machine or model, or for another number of processes, is left out with a warning. One with a wrong
    line is not, since somebody meant something by it.

    Raises:
        TunedFileError: a line is wrong or missing.
        OSError: the file cannot be read.
    """
    from localcluster.environment import config_directory, given
    from localcluster.tuned_file import read, tuned_path

    path = tuned_path(config_directory(), colocated=options.colocated)
    tuned = read(path)
    if tuned is None or not tuned.settings:
        return {}
    if misfit := _misfit(tuned, options):
        err().print(f"Without the settings in {path}: {misfit}.", markup=False, soft_wrap=True)
        return {}
    stronger = given(tuned.settings)
    used = " ".join(f"{name}={value}" for name, value in tuned.settings.items() if name not in stronger)
    but = f"; your environment sets {', '.join(stronger)}" if stronger else ""
    err().print(f"With settings tuned on {tuned.day}: {used or 'none'}{but}.", markup=False, soft_wrap=True)
    return tuned.settings


def _misfit(tuned: "Tuned", options: "UpOptions") -> str:
    from localcluster.default_model import default_model
    from localcluster.machine import this_machine

    machine = this_machine()
    model = default_model(options.model_repository, options.model)
    if tuned.machine != machine:
        return f"they are for another machine ({tuned.machine}; this is {machine}); `triptych tune` finds new ones"
    if tuned.model != model:
        return f"they are for another model ({tuned.model}; this is {model}); `triptych tune` finds new ones"
    if any(count > 1 for count in options.replicas.values()):
        return "they are for one replica of each service"
    return ""
