"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """The verdict on a thing: it works, it works slowly, it is missing, or it is there but does not work."""

    ok = "ok"
    slow = "slow"
    missing = "missing"
    wrong = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: the thing that was checked.
        found: what the check found.
        verdict: the judgement on it.
        advice: what to do; empty if nothing is to be done.
        blocks: whether `serve` can't work until then.
    """

    check: str
    found: str
    verdict: Verdict = Verdict.ok
    advice: str = ""
    blocks: bool = False
