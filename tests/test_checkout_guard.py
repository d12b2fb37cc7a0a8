"""The guard itself: a run that leaves the checkout as it was passes, any other fails and names the files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
CONFTEST = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from checkout_guard import CheckoutGuard

def pytest_configure(config):
    config.pluginmanager.register(CheckoutGuard(Path(__file__).parent))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small project with a guarded test run."""
    (tmp_path / "conftest.py").write_text(CONFTEST.format(tests=str(TESTS)))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_text("exported")
    return tmp_path


def _run(checkout: Path, body: str) -> subprocess.CompletedProcess[str]:
    (checkout / "test_it.py").write_text(f"from pathlib import Path\n\ndef test_it(tmp_path):\n    {body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(checkout), "."]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120, check=False)


def test_a_run_that_writes_elsewhere_passes(checkout: Path) -> None:
    result = _run(checkout, "(tmp_path / 'out.wav').write_text('x')")
    assert result.returncode == 0, result.stdout
    assert "CHECKOUT" not in result.stdout


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("Path('out').mkdir(); Path('out/codes.npz').write_text('x')", "out/codes.npz"),
        ("Path('models/model.pt').write_text('other weights')", "models/model.pt"),
        ("Path('models/model.pt').unlink()", "models/model.pt"),
    ],
    ids=["created", "changed", "removed"],
)
def test_a_run_that_changes_the_checkout_fails_and_names_the_file(checkout: Path, body: str, named: str) -> None:
    result = _run(checkout, body)
    assert "1 passed" in result.stdout
    assert result.returncode == 1
    assert named in result.stdout.split("CHANGED DURING THE RUN")[1].splitlines()
