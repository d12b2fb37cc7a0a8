"""Checkpoints in audiocraft's own layout are found by name, and loaded without running code that they may carry."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from audiocraft.models import AudioGen, MusicGen

from audiocraft_triton.checkpoints.layout import (
    CODEC_FILE,
    DIFFUSION_FILE,
    DISCRIMINATORS_FILE,
    LM_FILE,
    Checkpoint,
    demo_directory,
    resolve,
)
from audiocraft_triton.checkpoints.loading import load_codec, load_diffusion, load_lm
from audiocraft_triton.contract.errors import CheckpointError
from training.seeded_checkpoint import make_seeded_checkpoints

CPU = torch.device("cpu")
LOADERS: dict[str, Callable[[Checkpoint], Any]] = {
    LM_FILE: lambda checkpoint: load_lm(checkpoint, CPU),
    CODEC_FILE: lambda checkpoint: load_codec(checkpoint, CPU),
    DIFFUSION_FILE: lambda checkpoint: load_diffusion(checkpoint, CPU),
}
files_and_loaders = pytest.mark.parametrize(("filename", "load"), LOADERS.items(), ids=list(LOADERS))


class MakesAFolder:
    """An object whose unpickling makes a folder, as a hostile checkpoint might carry."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def test_audiocrafts_own_loaders_take_the_seeded_checkpoints(
    upstream_music: MusicGen, upstream_sound: AudioGen
) -> None:
    for model, rate, longest in ((upstream_music, 32_000, 30), (upstream_sound, 16_000, 10)):
        assert (model.sample_rate, model.frame_rate, model.audio_channels) == (rate, 50, 1)
        assert (model.max_duration, model.lm.num_codebooks, model.lm.card) == (longest, 4, 512)
        model.set_generation_params(duration=0.2)
        assert model.generate(["calm piano"]).shape == (1, 1, rate // 5)


@pytest.mark.parametrize("kind", ["music", "sound"])
def test_our_loaders_return_the_same_weights_as_upstreams(
    kind: str, demo_checkpoints: Path, request: pytest.FixtureRequest
) -> None:
    upstream = request.getfixturevalue(f"upstream_{kind}")
    checkpoint = resolve(str(demo_checkpoints / kind))
    for ours, theirs in (
        (load_lm(checkpoint, CPU), upstream.lm),
        (load_codec(checkpoint, CPU), upstream.compression_model),
    ):
        state, expected = ours.state_dict(), theirs.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in expected)
        assert not ours.training


def test_names_resolve_to_the_folders_of_the_files(demo_checkpoints: Path) -> None:
    assert resolve("demo").directory == demo_checkpoints / "music"
    assert resolve("demo-sound").directory == demo_checkpoints / "sound"
    assert resolve(str(demo_checkpoints / "sound")).directory == (demo_checkpoints / "sound").resolve()
    assert resolve("facebook/musicgen-small").directory is None


@pytest.mark.parametrize("name", ["demoo", "", "/no/such/folder", "./nowhere", "a/b/c", "../up", "facebook/"])
def test_an_unknown_name_is_refused_with_the_possible_ones(name: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve(name)
    assert str(caught.value) == (
        f"unknown checkpoint {name!r}: must be one of demo, demo-sound, an existing directory, "
        "or a hub id such as facebook/musicgen-small"
    )


def test_a_missing_demo_checkpoint_is_named_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointError, match="the demo checkpoints come with this package") as caught:
        resolve("demo-sound")
    assert str(caught.value).startswith(f"checkpoint 'demo-sound' is missing ({tmp_path / 'sound'}): ")
    assert str(caught.value).endswith("or set AUDIOCRAFT_DEMO_CHECKPOINTS to a folder that has them")


def test_the_demo_checkpoints_are_in_the_package_unless_the_environment_names_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIOCRAFT_DEMO_CHECKPOINTS", raising=False)
    assert demo_directory() == Path(__file__).resolve().parents[2] / "audiocraft_triton" / "checkpoints" / "demo"
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(tmp_path))
    assert demo_directory() == tmp_path


@files_and_loaders
def test_a_missing_file_is_named(filename: str, load: Callable[[Checkpoint], Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(resolve(str(tmp_path)))
    pair = f"{Path(filename).stem}.safetensors"
    assert str(caught.value) == (
        f"checkpoint {str(tmp_path)!r} has neither {pair} nor {filename} (looked in {tmp_path})"
    )


@files_and_loaders
@pytest.mark.parametrize("damage", ["cut in half", "empty", "text", "one byte missing"])
def test_a_damaged_file_is_named(
    filename: str, load: Callable[[Checkpoint], Any], damage: str, demo_checkpoints: Path, tmp_path: Path
) -> None:
    whole = (demo_checkpoints / "music" / filename).read_bytes()
    contents = {
        "cut in half": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"<html>",
        "one byte missing": whole[:-1],
    }
    (tmp_path / filename).write_bytes(contents[damage])
    with pytest.raises(CheckpointError, match=r"is damaged|not plain tensors") as caught:
        load(resolve(str(tmp_path)))
    assert str(tmp_path / filename) in str(caught.value)


@files_and_loaders
def test_a_file_that_would_run_code_is_refused_with_the_objects_name_and_does_not_run_it(
    filename: str, load: Callable[[Checkpoint], Any], demo_checkpoints: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    with torch.serialization.safe_globals([]):
        state = torch.load(demo_checkpoints / "music" / filename, weights_only=False)
    torch.save({**state, "evil": MakesAFolder(trace)}, tmp_path / filename)
    torch.load(tmp_path / filename, weights_only=False)
    assert trace.is_dir()  # the trap works
    trace.rmdir()
    with pytest.raises(CheckpointError, match=r"holds the pickled object posix\.mkdir: refused") as caught:
        load(resolve(str(tmp_path)))
    assert str(tmp_path / filename) in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(("filename", "load"), list(LOADERS.items())[:2], ids=list(LOADERS)[:2])
def test_a_file_of_another_kind_is_refused_with_what_it_lacks(
    filename: str, load: Callable[[Checkpoint], Any], tmp_path: Path
) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / filename)
    with pytest.raises(CheckpointError, match=f"{filename} of checkpoint .* lacks xp.cfg and best_state"):
        load(resolve(str(tmp_path)))
    torch.save([1, 2], tmp_path / filename)
    with pytest.raises(CheckpointError, match="holds a list, not an audiocraft checkpoint"):
        load(resolve(str(tmp_path)))


def test_building_the_checkpoints_again_gives_the_same_weights(demo_checkpoints: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)  # the global state must not matter
    before = torch.get_rng_state()
    make_seeded_checkpoints(tmp_path, report=lambda _line: None)
    assert torch.equal(torch.get_rng_state(), before)
    for name in (LM_FILE, CODEC_FILE, DIFFUSION_FILE, DISCRIMINATORS_FILE):
        for kind in ("music", "sound"):
            if (demo_checkpoints / kind / name).exists():
                assert _digest(tmp_path / kind / name) == _digest(demo_checkpoints / kind / name), f"{kind}/{name}"
    for kind in ("music", "sound"):
        encoder = f"{kind}/t5/model.safetensors"
        assert (tmp_path / encoder).read_bytes() == (demo_checkpoints / encoder).read_bytes()


def _digest(path: Path) -> str:
    """Returns a digest of every tensor's name and bytes in a torch.save file of our own."""
    digest, open_nodes = hashlib.sha256(), [("", torch.load(path, weights_only=False))]
    tensors = 0
    while open_nodes:
        name, node = open_nodes.pop()
        if isinstance(node, torch.Tensor):
            digest.update(name.encode() + node.numpy().tobytes())
            tensors += 1
        elif isinstance(node, dict):
            open_nodes += [(f"{name}/{key}", value) for key, value in node.items()]
        else:
            digest.update(f"{name}={node}".encode())
    assert tensors > 0
    return digest.hexdigest()


def test_a_hub_id_without_network_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    script = (
        "from audiocraft_triton.checkpoints.layout import CheckpointError, resolve\n"
        "try: resolve('facebook/musicgen-small').file('state_dict.bin')\n"
        "except CheckpointError as error: print(error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.startswith(
        "checkpoint 'facebook/musicgen-small': state_dict.bin is neither in the hub's cache nor could it be fetched ("
    )
    assert result.stdout.strip().endswith("; without network, give a local directory")


def test_weights_that_do_not_fit_their_config_are_named(demo_checkpoints: Path, tmp_path: Path) -> None:
    state = torch.load(demo_checkpoints / "music" / CODEC_FILE, weights_only=True)
    del state["best_state"]["decoder.model.1.lstm.bias_hh_l1"]
    torch.save(state, tmp_path / CODEC_FILE)
    with pytest.raises(CheckpointError, match=r"don't fit its own config.*bias_hh_l1"):
        load_codec(resolve(str(tmp_path)), torch.device("cpu"))


def test_a_missing_text_encoder_is_named(demo_checkpoints: Path, tmp_path: Path) -> None:
    shutil.copy(demo_checkpoints / "music" / LM_FILE, tmp_path)
    with pytest.raises(CheckpointError, match="has no folder t5 with the T5 that its config names"):
        load_lm(resolve(str(tmp_path)), CPU)


def test_a_diffusion_file_without_bands_is_named(tmp_path: Path) -> None:
    torch.save({"sample_rate": 32_000}, tmp_path / DIFFUSION_FILE)
    with pytest.raises(CheckpointError, match="is not a MultiBand Diffusion checkpoint"):
        load_diffusion(resolve(str(tmp_path)), torch.device("cpu"))
