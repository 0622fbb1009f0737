"""A person's session: what the page shows, and what it may say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelkit.data.labelling.answers import decided
from modelkit.data.labelling.journal import Journal
from modelkit.data.labelling.queue import Waiting
from modelkit.data.records import DataError


@dataclass(frozen=True)
class Session:
    """Holds a queue and the file that answers go to."""

    title: str
    """Data set and version."""
    labels: tuple[str, ...]
    queue: Sequence[Waiting]
    journal: Journal

    def overview(self) -> dict[str, Any]:
        """Returns all that the page needs, but the pictures: JSON."""
        answers = self.journal.answers
        said = decided(answers)
        mine = decided(each for each in answers if each.who == self.journal.who)
        waiting = {each.row.id for each in self.queue}
        return {
            "title": self.title,
            "who": self.journal.who,
            "labels": self.labels,
            "images": [self._told(each, said.get(each.row.id)) for each in self.queue],
            "history": [image for image in mine if image in waiting],
        }

    def answer(self, image: str, label: str) -> None:
        """Takes an answer down.

        Args:
            image: id of an image of the queue.
            label: name of the label; empty takes back the answer before.

        Raises:
            DataError: there is no such image or label.
            OSError: the file cannot be written.
        """
        if all(image != each.row.id for each in self.queue):
            raise DataError(f"image {image[:12]!r} is none of the {len(self.queue)} images of the queue")
        if label and label not in self.labels:
            raise DataError(f"label {label[:40]!r} is none of the {len(self.labels)} labels")
        self.journal.add(image, label)

    def _told(self, each: Waiting, answer: str | None) -> dict[str, Any]:
        return {
            "id": each.row.id,
            "label": self.labels[each.row.label] if each.row.label >= 0 else None,
            "split": each.row.split,
            "source": each.row.source[-200:],
            "why": each.why,
            "best": [{"label": self.labels[label], "probability": round(value, 4)} for label, value in each.best],
            "answer": answer,
        }
