"""Results on disk and on the screen."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile
from audiocraft_client import Audio, Codes, InvalidRequest
from fake_triton import RATE, tone


@pytest.mark.parametrize(("suffix", "tolerance"), [("wav", 2e-4), ("flac", 2e-4), ("ogg", 0.1), ("mp3", 0.1)])
@pytest.mark.parametrize("rate", [16_000, 32_000])
def test_a_saved_file_reads_back_at_its_rate(tmp_path, suffix, tolerance, rate):
    audio = Audio(tone(1.0, channels=2), rate)
    audio.save(path := tmp_path / f"a.{suffix}")
    samples, read_rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert (read_rate, samples.shape[1]) == (rate, 2)
    middle = slice(8_000, 24_000)  # codecs pad the ends
    assert np.abs(samples[middle] - audio.waveform.T[middle]).max() < tolerance


def test_minutes_of_ogg_do_not_crash_the_encoder(tmp_path):
    Audio(np.zeros((1, 120 * RATE), np.float32), RATE).save(tmp_path / "long.ogg")
    assert soundfile.info(tmp_path / "long.ogg").duration == pytest.approx(120)


def test_wav_is_16_bit_and_clips_instead_of_wrapping(tmp_path):
    Audio(np.array([[2.0, -2.0, 0.0]], np.float32), RATE).save(path := tmp_path / "a.WAV")
    samples, _ = soundfile.read(path, dtype="int16")
    assert soundfile.info(path).subtype == "PCM_16"
    assert samples.tolist() == [32767, -32768, 0]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.wav.gz"])
def test_an_unknown_suffix_is_refused_and_writes_nothing(tmp_path, name):
    with pytest.raises(InvalidRequest, match=r"\.wav, \.flac, \.ogg, \.mp3"):
        Audio(tone(), RATE).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(b"old")

    def no_replace(*_):
        raise OSError("disk on fire")

    monkeypatch.setattr("os.replace", no_replace)
    with pytest.raises(OSError, match="fire"):
        Audio(tone(), RATE).save(tmp_path / "a.wav")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.wav", b"old")]


def test_a_notebook_gets_a_player_with_the_whole_clip():
    html = Audio(tone(), RATE, seed=7)._repr_html_()
    data = re.search(r'<audio controls src="data:audio/wav;base64,([^"]+)"', html).group(1)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert (rate, len(samples)) == (RATE, tone().shape[1])
    assert "seed 7" in html


def test_codes_survive_a_round_trip(tmp_path):
    codes = Codes(np.arange(20, dtype=np.int32).reshape(4, 5), RATE, 0.1)
    codes.save(path := tmp_path / "c.npz")
    loaded = Codes.load(path)
    assert np.array_equal(loaded.codes, codes.codes)
    assert (loaded.codes.dtype, loaded.sample_rate, loaded.duration) == (np.int32, RATE, 0.1)


def test_what_is_not_a_codes_file_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", codes=np.array([{}], dtype=object), sample_rate=1, duration=1)
    np.save(tmp_path / "array.npy", np.zeros(3))
    for path in tmp_path.iterdir():
        with pytest.raises(InvalidRequest, match="not a codes file"):
            Codes.load(path)


def test_no_chunks_make_no_clip():
    with pytest.raises(InvalidRequest, match="empty"):
        Audio.from_chunks([])
