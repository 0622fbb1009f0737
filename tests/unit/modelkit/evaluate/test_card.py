"""What a model card says follows from the figures."""

from modelkit.evaluate.limits import limits
from modelkit.evaluate.markdown import lineage_lines, percent, size, table


def test_tables_hold_whatever_labels_are_named() -> None:
    """A bar or a line break in a name ends no cell."""
    assert "| a |\n| --- |\n| b\\|c d |" == table(("a",), [("b|c\nd",)])


def test_numbers_for_people() -> None:
    """Three digits and a unit; a dash where there is nothing."""
    assert ["12 ", "1.43 M", "42.2 k"] == [size(each) for each in (12, 1_430_000, 42_184)]
    assert ["12.35%", "-"] == [percent(0.12345), percent(None)]


def test_lineage_goes_down_to_the_first_run() -> None:
    """Each parent within its child, by its role; hashes are short."""
    first = {"run": "a", "model_sha256": "1" * 64, "lineage": {"step": "train", "run": "a"}}
    lineage = {"step": "prune", "dataset": {"name": "fmnist", "version": "12"}, "parents": {"weights": first}}
    assert ["- step: prune", "- dataset: fmnist 12", "- weights: run a", "  - step: train"] == lineage_lines(lineage)
    assert ["- model_sha256: `111111111111`"] == lineage_lines({"model_sha256": "1" * 64})


def test_limits_name_what_is_worst() -> None:
    """The class, the corruption, what halves the right answers, few pictures, and a missing temperature."""
    told = list(
        limits(
            {
                "accuracy": {
                    "classes": [
                        {"label": "cat", "pictures": 500, "accuracy": 0.9},
                        {"label": "dog", "pictures": 20, "accuracy": 0.5},
                        {"label": "owl", "pictures": 0, "accuracy": None},
                    ]
                },
                "robustness": {"clean_top1": 0.8, "corruptions": {"fog": [0.8, 0.3], "shot_noise": [0.8, 0.5]}},
                "calibration": {"fitted_on": "", "why_not": "the data set has no split val"},
            }
        )
    )
    assert [
        "The class dog is told least well: 50.00% of its pictures.",
        "2 of 3 classes have fewer than 100 test pictures: their figures say little.",
        "Fog harms most: 55.00% on average of 80.00%.",
        "At the highest severity less than half of the right answers are left with fog.",
        "Confidence is not calibrated: the data set has no split val.",
    ] == told[:5]
