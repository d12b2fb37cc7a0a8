"""Finds manifests and their parts in Helm's output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

Manifest = dict[str, Any]
Labels = dict[str, str]

EVERYTHING = Path(__file__).resolve().parent / "values_everything.yaml"


class ChartRefused(Exception):
    """Helm refused to render the chart; the message is Helm's."""


class Render(Protocol):
    """Signature of the fixture `render`."""

    def __call__(
        self, values_files: Sequence[Path | str] = (), set: Sequence[str] = (), kube_version: str | None = None
    ) -> list[Manifest]: ...


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Returns all manifests of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def one(manifests: list[Manifest], kind: str, ending: str = "") -> Manifest:
    """Returns the only manifest of a kind whose name has this ending."""
    found = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"].endswith(ending)]
    assert len(found) == 1, [manifest["metadata"]["name"] for manifest in found]
    return found[0]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Labels, Manifest]]:
    """Yields the name, labels and spec of every pod: those of Deployments and Jobs, and single pods."""
    for manifest in manifests:
        template = manifest if manifest["kind"] == "Pod" else manifest.get("spec", {}).get("template")
        if template is not None:
            yield manifest["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def containers(spec: Manifest) -> list[Manifest]:
    """Returns a pod's containers, including its init containers."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def serving(manifests: list[Manifest], component: str) -> Manifest:
    """Returns a component's serving container."""
    deployment = one(manifests, "Deployment", f"-{component}")
    found: Manifest = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def settings(manifests: list[Manifest], component: str) -> dict[str, str]:
    """Returns the variables that a component gets from its ConfigMap."""
    data: dict[str, str] = one(manifests, "ConfigMap", f"audiocraft-{component}")["data"]
    return data


def selects(selector: Labels, labels: Labels) -> bool:
    """Tells whether a selector's `matchLabels` match a pod's labels."""
    return selector.items() <= labels.items()
