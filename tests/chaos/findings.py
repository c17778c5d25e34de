"""The findings of a run."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """The broken promises; all lists are empty when every promise was kept."""

    lost: list[str] = field(default_factory=list)
    """Accepted, but not answered and in its history."""
    doubled: list[str] = field(default_factory=list)
    """In a history, or ended, more than once."""
    misordered: list[str] = field(default_factory=list)
    """In its history before a turn that had been accepted before it was sent."""
    others: list[str] = field(default_factory=list)
    """Anything else, in words."""
    fates: list[str] = field(default_factory=list)
    """The fate of each lost turn, in words."""

    @property
    def clean(self) -> bool:
        """True when every promise was kept."""
        return not (self.lost or self.doubled or self.misordered or self.others)
