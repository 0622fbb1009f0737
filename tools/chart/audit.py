"""Runs every rule over what a scenario renders to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.chart.manifests import Finding, Rendering
from tools.chart.reachability import enforced, reachable_only_as_intended
from tools.chart.rules import (
    alerts,
    experiments,
    images,
    lifecycle,
    resources,
    scaling,
    secrets,
    security,
    training,
    wiring,
)

Rule = Callable[[Rendering], Iterator[Finding]]
RULES: Mapping[str, Sequence[Rule]] = {
    "Security": (
        security.restricted,
        security.read_only_root,
        security.no_token,
        security.bounded_scratch,
        security.read_only_models,
        secrets.no_plain_secrets,
        secrets.no_secrets_rendered,
        reachable_only_as_intended,
    ),
    "Resources": (resources.resources_set, resources.accelerators_agree, resources.claims_declared),
    "Start and end": (
        lifecycle.probe_kinds,
        lifecycle.probes_and_tls,
        lifecycle.slow_start,
        lifecycle.pause_before_end,
        lifecycle.drain_fits,
    ),
    "Replicas": (
        scaling.one_scaler,
        scaling.replicas_left_out,
        scaling.scale_down_slowly,
        scaling.keda_falls_back,
        scaling.disruption_budgets,
        scaling.spread,
    ),
    "Experiments": (
        experiments.journals_are_apart,
        experiments.evidence_stays,
        experiments.only_admins_change_experiments,
    ),
    "Training": (training.workers_meet, training.workers_go_on),
    "What runs": (
        images.known_images,
        images.digests,
        images.settings_exist,
        images.ports_listed,
        images.triton_hardened,
        images.triton_recent,
    ),
    "What refers to what": (
        wiring.selectors_match,
        wiring.services_lead_somewhere,
        wiring.stateful_sets_have_names,
        wiring.protocols_are_spoken,
        wiring.routes_lead_somewhere,
        wiring.references_exist,
        wiring.monitors_find,
        alerts.only_served_versions_are_missed,
        alerts.every_pool_is_missed,
        alerts.own_namespace_is_watched,
        wiring.one_namespace,
        wiring.unique_names,
    ),
}
"""Every rule, under the heading that the report puts it."""
EXEMPT: Mapping[Rule, Callable[[Rendering], bool]] = {
    security.restricted: security.from_host,
    reachable_only_as_intended: lambda rendering: not enforced(rendering),
}
"""Where a rule does not hold, or not in full, because the values ask for something else."""


@dataclass(frozen=True)
class Verdict:
    """Is what one rule says about one scenario."""

    heading: str
    rule: Rule
    scenario: str
    findings: Sequence[Finding]
    exempt: bool = False
    """Whether the values ask for something else, so that no finding proves little."""

    @property
    def statement(self) -> str:
        """Returns the fact that the rule proves."""
        return " ".join((self.rule.__doc__ or self.rule.__name__).split())


def audit(rendering: Rendering) -> list[Verdict]:
    """Returns every rule's verdict on a rendering."""
    return [
        Verdict(heading, rule, rendering.scenario, tuple(rule(rendering)), rule in EXEMPT and EXEMPT[rule](rendering))
        for heading, rules in RULES.items()
        for rule in rules
    ]
