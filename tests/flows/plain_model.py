"""What a collection must show and remember, in plain dictionaries: no versions, no chunks, no SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

State = dict[str, str]
"""uri -> text."""

FAMILIES = ("amber", "basin", "candle")
_ENDINGS = ("", " Printed from the archive.", " Printed from the archive. Not for sale, nor for hire.")


def family_text(family: str, ending: int) -> str:
    """Long texts that are near-duplicates of all others of their family, and of no other."""
    words = [f"{family}{one}{two}" for one in "bcdfgh" for two in ("ale", "ine", "ost", "urn", "eck", "art")]
    sentences = [" ".join(words[at : at + 9]) + "." for at in range(len(words) - 9)]
    return f"The {family} family: {' '.join(sentences)}{_ENDINGS[ending]}"


def _group(text: str) -> str:
    return next((family for family in FAMILIES if text.startswith(f"The {family} family")), text)


def elect(state: State) -> dict[str, str]:
    """Duplicate -> the document that stands for it: the longest of its group, then the first by name."""
    groups: dict[str, list[str]] = {}
    for uri, text in state.items():
        groups.setdefault(_group(text), []).append(uri)
    winners = {}
    for uris in groups.values():
        best, *others = sorted(uris, key=lambda uri: (-len(state[uri]), uri))
        winners |= dict.fromkeys(others, best)
    return winners


@dataclass
class PlainModel:
    """The truth that the registry is compared with after every step.

    Attributes:
        files: what lies on disk.
        states: what each release shows, from the empty start (0) on.
        whole: whether nothing of that release was purged or forgotten.
        held: by uri, what the source had when a rollback took it out of view.
    """

    files: State = field(default_factory=dict)
    states: list[State] = field(default_factory=lambda: [{}])
    whole: list[bool] = field(default_factory=lambda: [True])
    held: dict[str, str | None] = field(default_factory=dict)
    tagged: set[int] = field(default_factory=set)

    @property
    def shown(self) -> State:
        return self.states[-1]

    def ingest(self, *, reapply: bool = False) -> bool:
        """Whether it makes a release."""
        if reapply:
            self.held = {uri: had for uri, had in self.held.items() if False}
        new = dict(self.shown)
        for uri in self.files.keys() | self.shown.keys() | self.held.keys():
            now = self.files.get(uri)
            if uri in self.held:
                if self.held[uri] == now:
                    continue
                del self.held[uri]
            new.pop(uri, None)
            if now is not None:
                new[uri] = now
        return self._release(new)

    def rollback(self, number: int) -> bool:
        """Whether it makes a release."""
        return self._go_to(self.states[number])

    def previous(self, uri: str) -> str | None:
        """What a document showed before what it shows now."""
        for state in reversed(self.states[:-1]):
            text = state.get(uri)
            if text is not None and text != self.shown.get(uri):
                return text
        return None

    def rollback_document(self, uri: str) -> bool:
        text = self.previous(uri)
        assert text is not None
        return self._go_to({**self.shown, uri: text})

    def purge(self, keep_versions: int) -> None:
        """Drop what neither is shown, nor tagged, nor among the last versions of a shown document."""
        for uri in {uri for state in self.states for uri in state}:
            keep = {self.states[number].get(uri) for number in self.tagged} | {self.shown.get(uri)}
            if uri in self.shown:
                recent: list[str] = []
                for state in reversed(self.states):
                    text = state.get(uri)
                    if text is not None and text != self.shown[uri] and text not in recent:
                        recent.append(text)
                keep |= set(recent[:keep_versions])
            self._erase(uri, keep)

    def forget(self, uri: str) -> bool:
        """Whether it makes a release; nothing of the document stays in any state."""
        was_shown = uri in self.shown
        if was_shown:
            self._release({other: text for other, text in self.shown.items() if other != uri})
        self._erase(uri, set())
        self.held.pop(uri, None)
        return was_shown

    def _erase(self, uri: str, keep: set[str | None]) -> None:
        for number, state in enumerate(self.states):
            if uri in state and state[uri] not in keep:
                del state[uri]
                self.whole[number] = False

    def _go_to(self, target: State) -> bool:
        before = self.shown
        changed = {uri for uri in before.keys() | target.keys() if before.get(uri) != target.get(uri)}
        for uri in changed:
            self.held.setdefault(uri, before.get(uri))
            if self.held[uri] == target.get(uri):
                del self.held[uri]
        return self._release(dict(target))

    def _release(self, state: State) -> bool:
        if state == self.shown:
            return False
        self.states.append(state)
        self.whole.append(True)
        return True
