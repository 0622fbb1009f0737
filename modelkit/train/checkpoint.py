"""Saves and restores a run in the middle.

Order of pictures, augmentation, dropout and learning rate are functions of seed and step, so the step stands for all of
them; what remains are the weights, the optimiser's memory, the average and the scaler.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from modelkit.train.distributed import read_for_all
from modelkit.train.files import write_atomically
from modelkit.train.sampling import Shard
from modelkit.train.step import Learner, unwrapped

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass
class Progress:
    """Is how far a run has come."""

    step: int = 0
    """Steps done."""
    best: float = -1.0
    """Best top-1 on the monitored split."""
    stale: int = 0
    """Epochs since then."""
    seconds: float = 0.0
    """Spent, in all sessions."""


def save_checkpoint(folder: Path, learner: Learner, progress: Progress) -> None:
    """Replaces the run's checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    parts = {name: part.state_dict() for name, part in _parts(learner).items()}
    torch.save({"progress": asdict(progress), **parts}, buffer)
    write_atomically(folder / CHECKPOINT_FILE, buffer.getvalue())


def load_checkpoint(folder: Path, learner: Learner, shard: Shard) -> Progress:
    """Restores the run's last checkpoint, the same one in every process; a run without one starts anew."""
    content = read_for_all(folder / CHECKPOINT_FILE, shard)
    if content is None:
        return Progress()
    device = next(learner.model.parameters()).device
    saved = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    for name, part in _parts(learner).items():
        part.load_state_dict(saved[name])
    return Progress(**saved["progress"])


def _parts(learner: Learner) -> dict[str, torch.nn.Module | torch.optim.Optimizer | torch.amp.GradScaler]:
    parts = {
        "model": unwrapped(learner.model),
        "optimiser": learner.optimiser,
        "average": learner.average,
        "scaler": learner.scaler,
    }
    return {name: part for name, part in parts.items() if part is not None}
