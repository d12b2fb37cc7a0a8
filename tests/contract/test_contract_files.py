"""All files derived from the contract are up to date, and adding a parameter takes one edit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from audiocraft_triton.contract.parameters import BY_NAME, PARAMETERS
from contract_files.files import PROJECT, derived

GENERATION_MODELS = ("musicgen", "musicgen_stream", "audiogen", "audiogen_stream")
NEW_ROW = """    Parameter(
        "min_p",
        "FP32",
        "Leaves out tokens less likely than this share of the likeliest one.",
        default=0.0,
        low=0,
        high=1,
        control=Control("Min p", 0, 0.5, 0.01),
    ),
"""
# Prints how programs that import the contract or the client use the new row.
PROBE = """
import json
from audiocraft_client import calls
from audiocraft_client.cli import app
from typer.testing import CliRunner
from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.engine.request import GenerationRequest
from audiocraft_triton.gateway.app import create_app
from audiocraft_triton.gateway.schemas import ClipRequest
from audiocraft_triton.gateway.settings import Settings

try:
    GenerationRequest(min_p=1.5)
except InvalidRequest as error:
    refusal = str(error)
bodies = create_app(Settings()).openapi()["components"]["schemas"]
print(json.dumps({
    "engine": [GenerationRequest().min_p, GenerationRequest(min_p=0.2).min_p, refusal],
    "gateway": {name: bodies[name]["properties"]["min_p"] for name in ("ClipRequest", "StreamRequest")},
    "gateway passes on": ClipRequest(text="x", min_p=0.2).options(),
    "client sends": calls.generate("music", "x", {"min_p": 0.2}).values["min_p"],
    "command line": CliRunner().invoke(app, ["music", "--help"], terminal_width=200).output,
}))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the contract and of all files derived from it."""
    large = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.flac", "*.pt", ".venv*", "*.png")
    for folder in ("audiocraft_triton", "client", "contract_files", "docs", "model_repository"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=large)
    shutil.copy(PROJECT / "README.md", tmp_path)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python in the copy, with the copy's modules first on the path."""
    environment = {**os.environ, "PYTHONPATH": f"{project}:{project / 'client'}", "COLUMNS": "200"}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    return python


def test_every_derived_file_agrees_with_the_contract() -> None:
    stale = [str(path) for path, text in derived(PROJECT).items() if path.read_text() != text]
    assert stale == [], "run `make contract`"


def test_the_table_is_in_the_documentation() -> None:
    documents = [text for path, text in derived(PROJECT).items() if path.suffix == ".md"]
    assert documents
    assert all(f"| `{parameter.name}` |" in text for text in documents for parameter in PARAMETERS)


def test_drift_is_named_and_repaired(project: Path, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    config = project / "model_repository" / "audiogen" / "config.pbtxt"
    config.write_text(config.read_text().replace("TYPE_INT64", "TYPE_INT32"))
    found = run("-m", "contract_files", "--check")
    assert (found.returncode, "model_repository/audiogen/config.pbtxt: differs" in found.stdout) == (1, True)
    assert run("-m", "contract_files").returncode == 0
    assert "TYPE_INT64" in config.read_text()
    assert run("-m", "contract_files", "--check").returncode == 0


def test_a_file_that_lost_its_markers_is_named(project: Path) -> None:
    config = project / "model_repository" / "musicgen" / "config.pbtxt"
    config.write_text(config.read_text().replace("# generated: inputs\n", ""))
    with pytest.raises(ValueError, match=r"musicgen/config\.pbtxt: has no block `generated: inputs`"):
        derived(project)


def test_adding_a_parameter_takes_one_edit_and_so_does_removing_it(
    project: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    table = project / "audiocraft_triton" / "contract" / "parameters.py"
    original, before = table.read_text(), {path: path.read_text() for path in derived(project)}
    place = '    Parameter(\n        "top_p",\n'
    assert original.count(place) == 1
    table.write_text(original.replace(place, NEW_ROW + place))
    assert run("-m", "contract_files").returncode == 0

    for name in GENERATION_MODELS:
        config = text_format.Parse((project / "model_repository" / name / "config.pbtxt").read_text(), ModelConfig())
        assert [row.optional for row in config.input if row.name == "min_p"] == [True], name
    page = (project / "audiocraft_triton" / "gateway" / "static" / "js" / "contract.js").read_text()
    assert '"label": "Min p"' in page
    assert any("| `min_p` | FP32 | 0 | 0 to 1 |" in path.read_text() for path in before if path.suffix == ".md")
    probe = run("-c", PROBE)
    assert probe.returncode == 0, probe.stderr
    found = json.loads(probe.stdout)
    assert found["engine"] == [0.0, 0.2, "min_p=1.5: must be between 0 and 1"]
    for body in found["gateway"].values():
        assert (body["minimum"], body["maximum"], body["default"]) == (0, 1, 0)
        assert body["description"] == "Leaves out tokens less likely than this share of the likeliest one."
    assert found["gateway passes on"] == {"min_p": 0.2}
    assert found["client sends"] == 0.2
    assert "--min-p" in found["command line"]

    table.write_text(original)
    assert run("-m", "contract_files").returncode == 0
    assert {path: path.read_text() for path in before} == before


@pytest.mark.parametrize("name", BY_NAME)
def test_a_parameter_has_the_facts_that_derived_files_need(name: str) -> None:
    parameter = BY_NAME[name]
    assert parameter.description.endswith(".")
    if parameter.default is not None:
        parameter.check(parameter.default)
    if parameter.control is not None:
        assert parameter.low is not None
        assert parameter.high is not None
        assert parameter.low <= parameter.control.low < parameter.control.high <= parameter.high


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(PARAMETERS)
