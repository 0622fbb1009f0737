"""Answers calls by the version that experiments and pins choose, and has it told what came of it."""

import asyncio
import itertools
import time
from collections.abc import Callable

from gateway.classifier import CLOCK_S, Answers
from gateway.experiments.asking import asker_of
from gateway.experiments.evidence import Result, Trial, is_failure
from gateway.experiments.metrics import FAILED, FULL, NOT_READY
from gateway.experiments.routes import Routes
from gateway.experiments.shadows import Shadows
from gateway.experiments.telling import Teller
from gateway.models import ModelDirectory
from gateway.requests import Call
from gateway.result_cache import digest
from gateway.routing import Asker, assign
from servicekit import context, tracing
from servicekit.errors import Cancelled, DeadlineExceeded, Internal, Reason, TriptychError

_NOBODY = context.RequestContext("", "")


class RoutedAnswering:
    """Stands before what answers calls: says by which version, and has another one answer where that fails."""

    def __init__(
        self,
        answering: Answers,
        directory: ModelDirectory,
        routes: Callable[[], Routes],
        teller: Teller,
        shadows: Shadows,
        spend: Callable[[], bool],
    ) -> None:
        """Wires it.

        Args:
            answering: answers calls.
            directory: knows which versions are ready.
            routes: says what is decided.
            teller: hears of each request.
            shadows: see them besides.
            spend: takes a second attempt from the budget that retries have, and says whether there was one.
        """
        self._answering = answering
        self._directory = directory
        self._routes = routes
        self._teller = teller
        self._shadows = shadows
        self._spend = spend
        self._serials = itertools.count()

    async def classify(self, call: Call) -> list[Result]:
        """Answers a call, one result per image, in order.

        Raises:
            TriptychError: whatever went wrong; for an image, with its field path `images[i].content`.
        """
        routes, model = self._routes(), call.model or self._directory.default
        asker = asker_of(context.current() or _NOBODY, next(self._serials))
        experiments = None if call.version else routes.experiments.get(model)
        assignment = assign(experiments, model, asker, routes.holdout) if experiments else None
        if assignment is None:
            return await self._outside(call, model, asker)
        return await self._within(call, model, asker, Trial.of(asker, assignment))

    async def _outside(self, call: Call, model: str, asker: Asker) -> list[Result]:
        """Answers a request that takes part in no experiment."""
        began = time.perf_counter()
        if self._teller.logs:
            call = call.known([digest(content) for content in call.images])
        pin = "" if call.version else self._routes().pins.get(model, "")
        results = await (self._by(call, model, pin) if pin else self._answering.classify(call))
        if self._teller.logs:
            self._teller.tell(call, asker, results, _ms_since(began), None)
        return results

    async def _within(self, call: Call, model: str, asker: Asker, trial: Trial) -> list[Result]:
        """Answers a request of an experiment."""
        began = time.perf_counter()
        assignment = trial.assignment
        # For whoever stands in, and for shadows. Several images are each computed for themselves: none is left then.
        inputs: list[object] | None = [] if len(call.images) == 1 else None
        call = call.known([digest(content) for content in call.images], inputs)
        try:
            results = await self._by(call, model, assignment.arm.version, trial)
        except (Exception, asyncio.CancelledError) as error:
            trial.ended_with(_as_told(error))
            self._teller.tell(call, asker, [], _ms_since(began), trial)
            raise
        trial.answered_with(results)
        for result in results:
            result.experiment, result.arm = assignment.experiment.name, assignment.arm.name
        if (span := tracing.current()) is not None:
            span.attributes |= {"triptych.experiment": assignment.experiment.name, "triptych.arm": assignment.arm.name}
        self._teller.tell(call, asker, results, _ms_since(began), trial)
        if assignment.shadows:
            self._shadows.show(assignment, call, results)
        return results

    async def _by(self, call: Call, model: str, version: str, trial: Trial | None = None) -> list[Result]:
        """Has a version answer that the caller did not name, and the usual one where it is not ready, or fails."""
        usual = self._usual(call, model, version)
        if not self._directory.is_ready(model, version):
            NOT_READY.inc()
            _fail(trial)
            return await self._answering.classify(usual)
        replaceable = (usual.version or self._directory.default_version(model)) not in ("", version)
        remembered = None if trial is None else trial.remembered
        try:
            return await self._answering.classify(call.to(version, replaceable=replaceable, remembered=remembered))
        except TriptychError as error:
            full = trial is not None and error.reason is Reason.MODEL_QUEUE_FULL
            if not (full or is_failure(error)):
                raise
            _fail(trial)
            if not replaceable or context.time_left_s() < CLOCK_S or (full and not self._spend()):
                raise
        (FULL if full else FAILED).inc()
        return await self._answering.classify(self._usual(call, model, version))

    def _usual(self, call: Call, model: str, version: str) -> Call:
        """Returns the call for whom answers in place of a version: the pinned one while it is ready, or the default."""
        pin = self._routes().pins.get(model, "")
        stands_in = pin not in ("", version) and self._directory.is_ready(model, pin)
        return call.to(pin) if stands_in else call


def _fail(trial: Trial | None) -> None:
    if trial is not None:
        trial.failed = True


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3


def _as_told(error: BaseException) -> TriptychError:
    """Returns the error that the caller gets: a request that is cancelled has been left, or its time is over."""
    if isinstance(error, TriptychError):
        return error
    if isinstance(error, asyncio.CancelledError):
        error_type = DeadlineExceeded if context.time_left_s() < CLOCK_S else Cancelled
        return error_type("The request ended before its answer was ready.")
    return Internal("Something went wrong inside Triptych.")
