"""Searching: which datasets fit some words, over all providers at once, merged by root."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from shale.client.api import Hit, ProviderApi
from shale.client.discovery import MAX_AT_ONCE, Door, Found
from shale.errors import ShaleError
from shale.market.offer import Dataset, Entry, Offer
from shale.market.words import missing, split

MAX_FILES = 8


@dataclass(slots=True)
class Held:
    """A dataset, the names and addresses of those who hold it, and the files of it that fit what was searched for."""

    dataset: Dataset
    providers: list[tuple[str, str]] = field(default_factory=list)
    matched: int = 0
    files: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class ByOffer:
    """A provider that was searched by its offer alone, which names few files, and why."""

    name: str
    provider: str
    why: str


async def search(found: Sequence[Found], text: str, door: Door = ProviderApi) -> tuple[list[Held], list[ByOffer]]:
    """The datasets that fit every word, the most widely held first; without words, all of them.

    Each provider searches its own files. One that doesn't answer is searched by what its offer says, and comes back
    too. Raises InputRefused for words that nobody searches for.
    """
    words = split(text)
    gate = asyncio.Semaphore(MAX_AT_ONCE)
    unasked: list[ByOffer] = []

    async def ask(item: Found) -> list[Hit]:
        if not words:
            return [Hit(dataset.root, 0, ()) for dataset in item.signed.offer.datasets]
        async with gate:
            try:
                async with door(item.record.endpoint) as api:
                    return await api.datasets(text)
            except ShaleError as error:
                unasked.append(ByOffer(item.signed.offer.name, item.record.operator, error.message))
                return _by_offer(item.signed.offer, words)

    answers = await asyncio.gather(*(ask(item) for item in found))
    return _merged(list(zip(found, answers, strict=True))), sorted(unasked, key=lambda one: (one.name, one.provider))


def fits(dataset: Dataset, words: str) -> bool:
    """Whether every word stands in the dataset's own texts: its name, description and CIDs."""
    return not missing(dataset, tuple(words.casefold().split()))


def _by_offer(offer: Offer, words: tuple[str, ...]) -> list[Hit]:
    hits = []
    for dataset in offer.datasets:
        rest = missing(dataset, words)
        files = tuple(
            entry for entry in dataset.entries if all(word in entry.path.casefold() for word in rest or words)
        )
        if files or not rest:
            hits.append(Hit(dataset.root, len(files), files[:MAX_FILES]))
    return hits


def _merged(answers: Sequence[tuple[Found, Sequence[Hit]]]) -> list[Held]:
    by_root: dict[str, Held] = {}
    for item, hits in answers:
        # What a provider finds counts only if its signed offer lists it.
        listed = {dataset.root: dataset for dataset in item.signed.offer.datasets}
        for hit in hits:
            dataset = listed.pop(hit.root, None)
            if dataset is None:
                continue
            held = by_root.setdefault(hit.root, Held(dataset))
            held.providers.append((item.signed.offer.name, item.record.operator))
            if hit.matched > held.matched:
                held.matched, held.files = hit.matched, hit.files
    return sorted(by_root.values(), key=lambda held: (-len(held.providers), held.dataset.name, held.dataset.root))
