"""The whole job, item by item: what only shows once everything is expanded.

A prompt may be too long with one value of a variable and not with another, and two entries far apart may make the same
picture or write the same file. Only hashes are remembered of each item, so that a long job fits into memory; who the
other one was is looked up in a second pass, where there is anything to look up.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.job import checks, entries, items
from pipeline.job.checks import Layer
from pipeline.job.diagnostics.diagnostic import MOST, Diagnostics, Enough, WrittenAt
from pipeline.job.entries import Entry, EntryValues
from pipeline.job.rows.columns import Columns
from pipeline.job.yaml.scalars import shown
from pipeline.model import Item
from pipeline.plan.wanted import WantedItems

MOST_ITEMS = 1_000_000
"""Items a job may make."""

_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]|\r(?!\n)")


@dataclass(slots=True)
class Expansion:
    """One walk through all the items.

    Attributes:
        sandbox: Whether the sandbox makes them.
        any_model: Whether a model that is not in the catalogue is accepted.
        mistakes: Where to note what is wrong.
        used: The variables that some prompt uses.
        whole: Whether every row could be read; only then a variable can be said to be unused.
        unused: Each included file with columns that nothing uses, and these.
        wanted: Gets all the items, as long as nothing is wrong.
    """

    sandbox: bool
    any_model: bool
    mistakes: Diagnostics
    used: set[str] = field(default_factory=set)
    whole: bool = True
    unused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    wanted: WantedItems = field(default_factory=WantedItems)
    _items: int = 0
    _keys: set[int] = field(default_factory=set)
    _stems: set[int] = field(default_factory=set)
    _again: list[tuple[Item, bool]] = field(default_factory=list)

    def entry(self, entry: Entry, own: EntryValues, source: WrittenAt) -> None:
        """Walk through what one entry makes."""
        used: set[str] = set()
        sound = True
        if entry.file is None:
            self._concrete(Layer(entry, own, source, source, self.any_model), used)
        else:
            sound = self._rows(entry, source, used)
        self.used |= used
        self.whole = self.whole and sound
        if sound:
            checks.unused((name for name in own.variables if name not in used), source, self.mistakes)

    def _rows(self, entry: Entry, source: WrittenAt, used: set[str]) -> bool:
        """Walk through an included file, and tell whether all of it could be read."""
        sound, number, columns = True, 0, Columns()
        used.update(entry.said.names)
        for found in entries.of_rows(entry, self.mistakes):
            number += 1
            if found is None:
                sound = False
                continue
            row_entry, own, row = found
            level = Layer(row_entry, own, row, source, self.any_model, tuple(row.cells))
            columns.see(row, level.columns)
            if own.asks:
                checks.check(level, self.mistakes)
            self._concrete(level, used)
        if not number:
            self.mistakes.add(entry.place, f"{entry.name}.file has no rows", "write a row for each prompt")
        if sound:
            unused = columns.unused(used, entry.model, self.mistakes)
            # What one entry does not use of a file, another may.
            known = self.unused.get(entry.shown, unused)
            self.unused[entry.shown] = tuple(name for name in unused if name in known)
        return sound

    def _concrete(self, level: Layer, used: set[str]) -> None:
        prompt = level.entry.said.prompt
        if prompt is None:
            return
        used.update(level.entry.said.names)
        if not checks.variables(level, self.mistakes):
            return
        self._items += items.number_of(level.entry)
        if self._items > MOST_ITEMS:
            place = level.source.place()
            message = f"from here on the job makes more than {MOST_ITEMS:,} items"
            self.mistakes.add(place, message, "give its variables fewer values, or split the job")
            raise Enough
        for item in items.of_entry(level.entry, sandbox=self.sandbox):
            self._prompt(item, level)
            self._first(item)
            if not self.mistakes.problems:
                self.wanted.add(item)

    def _prompt(self, item: Item, level: Layer) -> None:
        longest, prompt = level.entry.model.max_prompt, item.prompt
        unsendable = _UNSENDABLE.search(prompt)
        if prompt and not unsendable and (longest is None or len(prompt) <= longest):
            return
        name, place = level.where("prompt").name("prompt"), level.source.place("prompt")
        if longest is not None and len(prompt) > longest:
            message = f"{name} has {len(prompt)} characters; {item.model} takes {longest}: {shown(prompt)}"
            self.mistakes.add(place, message, f"shorten it by {len(prompt) - longest}")
        if not prompt:
            self.mistakes.add(place, f"{name} is empty", "write what the picture shows")
        elif unsendable:
            message = f"{name} holds the character U+{ord(unsendable[0]):04X}, which can't be sent"
            self.mistakes.add(place, message, "remove it")

    def _first(self, item: Item) -> None:
        """Remember an item; one whose key or whose file names were seen before is set aside."""
        key = int(item.key[:16], 16)
        stems = [hash(item.stem(index).casefold()) for index in range(item.count)]
        if key in self._keys or not self._stems.isdisjoint(stems):
            if len(self._again) < MOST:
                self._again.append((item, key in self._keys))
            return
        self._keys.add(key)
        self._stems.update(stems)

    def clashes(self, walked: Iterator[Item]) -> None:
        """Note the items that make the same picture, or write the same file, as an earlier one.

        Args:
            walked: All the items once more.
        """
        if not self._again:
            return
        keys = {item.key for item, same in self._again if same}
        stems = {item.stem(index).casefold() for item, _ in self._again for index in range(item.count)}
        first_key: dict[str, Item] = {}
        first_stem: dict[str, Item] = {}
        for item in walked:
            if item.key in keys:
                first_key.setdefault(item.key, item)
            for stem in {item.stem(index).casefold() for index in range(item.count)} & stems:
                first_stem.setdefault(stem, item)
        for item, same in self._again:
            if same:
                self._same_picture(item, first_key.get(item.key, item))
            else:
                self._same_file(item, first_stem)

    def _same_picture(self, item: Item, first: Item) -> None:
        message = (
            f"{shown(item.prompt)} is the same picture as at {first.place}: same prompt, model, shape and parameters"
        )
        self.mistakes.add(item.place, message, "write it once, with a count, or let something differ")

    def _same_file(self, item: Item, first_stem: dict[str, Item]) -> None:
        for index in range(item.count):
            stem = item.stem(index)
            first = first_stem.get(stem.casefold(), item)
            if first.key != item.key:
                message = f"{shown(item.prompt)} would be the file {stem}, as the one at {first.place}"
                cure = "give one of them another id"
                if item.place == first.place:  # Then both are of one entry, and have the same id by nature.
                    cure = "let the values differ in more, or write an id with {variables} in it"
                self.mistakes.add(item.place, message, cure)
                return
