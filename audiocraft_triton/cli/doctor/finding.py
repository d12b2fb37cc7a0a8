"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """How it stands with one thing: all is well, it works slowly, it is not there, it is there and will not do."""

    ok = "ok"
    slow = "slow"
    missing = "missing"
    wrong = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was looked at.
        found: what is there.
        verdict: how that is.
        advice: what to do, empty where nothing is to be done.
        blocks: whether `serve` can't work before that is done.
    """

    check: str
    found: str
    verdict: Verdict = Verdict.ok
    advice: str = ""
    blocks: bool = False
