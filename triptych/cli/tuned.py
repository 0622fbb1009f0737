"""The tuned settings that `triptych up` starts with, or why it does not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from triptych.cli.output import err

if TYPE_CHECKING:
    from localcluster.options import UpOptions
    from localcluster.tuned_file import Tuned


def tuned_settings(options: "UpOptions") -> Mapping[str, str]:
    """Returns the variables of the tuned file that fits the options, and says so; none where there is no such file.

    A file of another machine, or for another number of processes, is left out with a warning. One with a wrong line is
    not, since somebody meant something by it.

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
    from localcluster.machine import this_machine

    machine = this_machine()
    if tuned.machine != machine:
        return f"they are for another machine ({tuned.machine}; this is {machine}); `triptych tune` finds new ones"
    if any(count > 1 for count in options.replicas.values()):
        return "they are for one replica of each service"
    return ""
