"""Everything that can be asked for, and what is known of it: where, state, context, abilities, prices."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.catalog.facts import FactBook
from shareai_cli.catalog.gguf import inspect
from shareai_cli.catalog.listing import UNKNOWN, ModelFacts, in_order
from shareai_cli.client import LocalProcess
from shareai_cli.config import RouteSettings
from shareai_cli.errors import ConfigurationError
from shareai_cli.gateway.current import Current
from shareai_cli.gateway.fleet import Fleet
from shareai_cli.gateway.health import Standing, State
from shareai_cli.gateway.models import ModelDirectory, Offer
from shareai_cli.types import (
    NODE,
    Ability,
    Clock,
    LocalModel,
    ModelInfo,
    ModelListing,
    ModelState,
    Target,
)

_ANSWERING: Final = frozenset({"serving", "trial", "loaded", "loading", "not loaded"})
"""States in which a request is sent to a target."""

_PROCESSES: Final[Mapping[str, ModelState]] = {
    "ready": "loaded",
    "starting": "loading",
    "waiting": "waiting",
    "unloaded": "not loaded",
}

_STATES: Final[Mapping[State, ModelState]] = {
    State.SERVING: "serving",
    State.TRIAL: "trial",
    State.PROBING: "probing",
    State.COOLING: "cooling",
    State.EJECTED: "ejected",
    State.DISABLED: "disabled",
    State.DRAINING: "draining",
    State.PAUSED: "paused",
}


class Scene(Struct, frozen=True):
    """What there is at a moment."""

    routes: Mapping[str, RouteSettings]
    local: Sequence[LocalModel]
    offers: Sequence[Offer]
    price_as: Mapping[str, str]
    """Each provider's name among the prices."""
    is_running: bool = True
    """Whether a gateway runs: else nothing is known of how anything stands."""
    now: float = 0.0
    troubles: Mapping[Target, Standing] = {}
    """How those targets stand that do not simply serve."""
    processes: Mapping[str, LocalProcess] = {}
    """How this machine's models are, by their ids."""
    held: Mapping[tuple[str, str], Standing] = {}
    """How those targets of routes stand that get no requests, by a person's order."""


class Browser:
    """Describes what a running gateway offers."""

    def __init__(
        self,
        current: Current,
        directory: ModelDirectory,
        fleet: Fleet,
        facts: FactBook,
        clock: Clock = time.monotonic,
    ) -> None:
        self._current = current
        self._directory = directory
        self._fleet = fleet
        self._facts = facts
        self._clock = clock
        self._describing = asyncio.Lock()

    async def list_models(self) -> ModelListing:
        """Ask providers where their lists are old, and describe everything that can be asked for."""
        offers = await self._directory.list_offers(list(self._current.endpoints))
        processes = {report.id: report for report in await self._fleet.reports()}
        settings = self._current.settings
        orders = self._current.orders
        held = {
            (route.name, one.target.name): standing
            for route in settings.routes.values()
            for one in route.targets
            if (standing := orders.standing(route.name, one.target)) is not None
        }
        scene = Scene(
            routes=settings.routes,
            held=held,
            local=self._fleet.models,
            offers=offers,
            price_as={name: one.price_as or "" for name, one in settings.providers.items()},
            now=self._clock(),
            processes=processes,
        )
        standings = {target: self._current.standing(target) for target in _targets(scene)}
        troubles = {one: now for one, now in standings.items() if now.state is not State.SERVING}
        async with self._describing:
            return await asyncio.to_thread(describe, replace(scene, troubles=troubles), self._facts)


def describe(scene: Scene, facts: FactBook) -> ModelListing:
    """Describe a scene; reads the headers of this machine's models, and may take a second for thousands."""
    known = {}
    for model in scene.local:
        known[Target(NODE, model.id)] = _describe_local(model, scene)
    for target, told in _provider_targets(scene):
        known[target] = _describe_target(target, told, scene, facts)
        time.sleep(0)  # requests that this process carries meanwhile do not wait for all of them
    routes = [
        _describe_route(
            route,
            [
                _held(known[one.target], scene.held.get((route.name, one.target.name)))
                for one in route.targets
            ],
            scene.is_running,
        )
        for route in scene.routes.values()
    ]
    notices = [_notice(offer) for offer in scene.offers if offer.problem]
    return ModelListing((*routes, *known.values()), tuple(notices))


def _targets(scene: Scene) -> Iterator[Target]:
    for model in scene.local:
        yield Target(NODE, model.id)
    for target, _ in _provider_targets(scene):
        yield target


def _provider_targets(scene: Scene) -> Iterator[tuple[Target, ModelFacts]]:
    """Yield what each provider offers, sorted, and then what routes name beyond that."""
    seen = {Target(NODE, model.id) for model in scene.local}
    for offer in scene.offers:
        for name in sorted(offer.models):
            target = Target(offer.provider, name)
            seen.add(target)
            yield target, offer.models[name]
    for route in scene.routes.values():
        for one in route.targets:
            if one.target not in seen:
                seen.add(one.target)
                yield one.target, UNKNOWN


def _describe_local(model: LocalModel, scene: Scene) -> ModelInfo:
    target = Target(NODE, model.id)
    process = scene.processes.get(model.id)
    info = ModelInfo(
        id=target.name,
        kind="local",
        targets=(target.name,),
        state=_PROCESSES.get(process.state, "unknown") if process is not None else "not loaded",
        reason=(process.problem or "") if process is not None else "",
        context=model.context,
        prompt_nano=0,
        completion_nano=0,
    )
    if target in scene.troubles:
        info = _troubled(info, scene.troubles[target], scene.now)
    try:
        file = inspect(Path(model.path))
    except ConfigurationError as error:
        return replace(info, state="broken", seconds=0.0, reason=str(error))
    trained = file.context or None
    context = min(model.context, trained) if model.context and trained else model.context or trained
    return replace(info, context=context, abilities=file.abilities)


def _describe_target(target: Target, told: ModelFacts, scene: Scene, facts: FactBook) -> ModelInfo:
    if target.provider == NODE:
        reason = "This machine has no such model."
        return ModelInfo(target.name, "local", (target.name,), "missing", reason=reason)
    known = facts.look_up(scene.price_as.get(target.provider, ""), target.model, told)
    info = ModelInfo(
        id=target.name,
        kind="provider",
        targets=(target.name,),
        state="serving" if scene.is_running else "unknown",
        context=known.context,
        abilities=known.abilities,
        prompt_nano=known.price.prompt_nano,
        completion_nano=known.price.completion_nano,
        reason=_unlisted(target, scene.offers),
    )
    return _troubled(info, scene.troubles[target], scene.now) if target in scene.troubles else info


def _unlisted(target: Target, offers: Sequence[Offer]) -> str:
    """Say that a provider's own list lacks a target: it is asked all the same, as lists need not be whole."""
    offer = next((one for one in offers if one.provider == target.provider), None)
    is_unlisted = offer is not None and offer.source == "provider" and target.model not in offer.models
    return f"{target.provider} does not list it." if is_unlisted else ""


def _describe_route(route: RouteSettings, targets: Sequence[ModelInfo], is_running: bool) -> ModelInfo:
    best = next((one for one in targets if one.state in _ANSWERING), None)
    if best is None:
        best = min(targets, key=lambda one: one.seconds or math.inf)
    state = "serving" if best.state in _ANSWERING else best.state
    amiss = [f"{one.id} is {one.state}" for one in targets if one.state not in (*_ANSWERING, "unknown")]
    return ModelInfo(
        id=route.name,
        kind="route",
        targets=tuple(one.id for one in targets),
        state=state if is_running else "unknown",
        seconds=best.seconds,
        reason=", ".join(amiss),
        context=_of_all([one.context for one in targets], min),
        abilities=_shared([one.abilities for one in targets]),
        prompt_nano=_of_all([one.prompt_nano for one in targets], max),
        completion_nano=_of_all([one.completion_nano for one in targets], max),
    )


def _held(info: ModelInfo, standing: Standing | None) -> ModelInfo:
    """Return a target as it is for a route for which a person may have ordered something of it."""
    if standing is None:
        return info
    return replace(info, state=_STATES[standing.state], seconds=0.0, reason=standing.reason)


def _troubled(info: ModelInfo, standing: Standing, now: float) -> ModelInfo:
    """Return how a target stands by what its requests met."""
    state = _STATES.get(standing.state, "aside" if standing.is_missing else "key aside")
    return replace(info, state=state, seconds=max(0.0, standing.until - now), reason=standing.reason)


def _of_all(values: Sequence[int | None], choose: Callable[[Sequence[int]], int]) -> int | None:
    known = [value for value in values if value is not None]
    return choose(known) if len(known) == len(values) else None


def _shared(values: Sequence[tuple[Ability, ...] | None]) -> tuple[Ability, ...] | None:
    known = [set(value) for value in values if value is not None]
    return in_order(set.intersection(*known)) if len(known) == len(values) else None


def _notice(offer: Offer) -> str:
    """Say why a provider's models are not those of its own list, and where they are from."""
    if not offer.models:
        beside = "none are known"
    elif offer.source == "declared":
        beside = "those that the configuration declares are shown"
    else:
        beside = "those of the built-in catalogue are shown"
    return f"Provider {offer.provider} did not list its models ({offer.problem}): {beside}."
