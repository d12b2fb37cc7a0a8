"""A process of Triton's Python backend ends at once; other processes end normally."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options
from audiocraft_triton.serving.repository import MODEL_REPOSITORY


def test_a_finalized_model_is_not_torn_down(tmp_path: Path) -> None:
    model = tmp_path / "repository" / "musicgen"
    shutil.copytree(MODEL_REPOSITORY / "musicgen", model)
    (model / "1" / "model.py").write_text(
        "import atexit, pathlib\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "atexit.register((folder / 'torn_down').touch)\n"  # handlers run in the reverse order
        "import audiocraft_triton.serving.adapters\n"
        "atexit.register((folder / 'ended').touch)\n"
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        return []\n"
        "    def finalize(self):\n"
        "        (folder / 'finalized').touch()\n"
    )
    with EmbeddedServer(Options(model.parent, http_port=0, grpc_port=0, metrics_port=0, ready_timeout=60)):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"repository", "finalized", "ended"}


def test_any_other_process_ends_normally() -> None:
    code = (
        "import atexit\n"
        "atexit.register(print, 'torn down')\n"
        "from audiocraft_triton.serving.adapters.process_end import skip_teardown\n"
        "skip_teardown()\n"
        "raise SystemExit(3)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (3, "torn down\n"), ended.stderr
