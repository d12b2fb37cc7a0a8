"""What the studio's sounds and pictures are made of."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from studio_page import Studio

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.needs_program("chromium")


def test_a_slow_generation_pauses_playback_once_and_goes_on(studio: Studio) -> None:
    """2.4 s of sound that come at 2/3 of real time: without a plan, playback would stop at each of the six pieces."""
    states = studio.page.evaluate(
        """async () => {
            const { Track } = await import("/static/js/audio/track.js");
            const { player } = studio;
            const track = new Track(16000, 1, 2.4);
            const states = [];
            player.addEventListener("change", () => states.push(player.state));
            const piece = Float32Array.from({ length: 6400 }, (_, i) => 0.3 * Math.sin(i / 5));
            player.play(track);
            for (let n = 0; n < 6; n++) {
                track.append([piece]);
                await new Promise((resolve) => setTimeout(resolve, 600));
            }
            track.end();
            while (player.state !== "paused") await new Promise((resolve) => setTimeout(resolve, 50));
            return { states, position: player.position };
        }"""
    )
    assert states["position"] == pytest.approx(2.4, abs=0.001)
    assert 1 <= states["states"].count("buffering") - 1 <= 3, states["states"]


def test_resampling_is_faithful_and_seamless(studio: Studio) -> None:
    sampled = studio.page.evaluate(
        """async () => {
            const { resampled } = await import("/static/js/audio/resample.js");
            const source = Float32Array.from({ length: 16000 }, (_, i) => Math.sin((2 * Math.PI * 3000 * i) / 16000));
            const whole = resampled(source, 16000, 48000, 0, 48000);
            const pieces = [0, 1000, 1001, 20000, 48000];
            const joined = pieces.slice(1).flatMap(
                (end, n) => [...resampled(source, 16000, 48000, pieces[n], end - pieces[n])]);
            return { whole: [...whole], joined };
        }"""
    )
    assert sampled["joined"] == sampled["whole"]
    ideal = np.sin(2 * np.pi * 3000 * np.arange(48_000) / 48_000)
    inside = slice(1000, -1000)
    error = np.array(sampled["whole"])[inside] - ideal[inside]
    assert 20 * np.log10(np.abs(error).max()) < -50


def test_spectra_are_those_of_numpy(studio: Studio) -> None:
    samples: NDArray[np.float64] = np.random.default_rng(1).uniform(-1, 1, 2048)
    power = studio.page.evaluate(
        """async (samples) => {
            const { PowerSpectrum } = await import("/static/js/view/fft.js");
            return [...new PowerSpectrum(2048).of(Float64Array.from(samples), 0, new Float64Array(1025))];
        }""",
        samples.tolist(),
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    expected = (np.abs(np.fft.rfft(samples * window)) * 4 / 2048) ** 2
    np.testing.assert_allclose(power, expected, rtol=1e-9, atol=1e-15)


def test_wav_files_of_the_page_hold_what_was_put_in(studio: Studio) -> None:
    rng = np.random.default_rng(2)
    samples = rng.uniform(-1.2, 1.2, (2, 999)).astype(np.float32)
    files = studio.page.evaluate(
        """async (channels) => {
            const { Track } = await import("/static/js/audio/track.js");
            const { wav16, wavFloat, readWav16 } = await import("/static/js/audio/wav.js");
            const track = Track.of(channels.map((channel) => Float32Array.from(channel)), 16000);
            const bytes = async (blob) => [...new Uint8Array(await blob.arrayBuffer())];
            const read = readWav16(await wav16(track).arrayBuffer());
            return { pcm: await bytes(wav16(track)), float: await bytes(wavFloat(track)),
                     read: read.channels.map((channel) => [...channel]), rate: read.sampleRate };
        }""",
        samples.tolist(),
    )
    exact, rate = soundfile.read(io.BytesIO(bytes(files["float"])), dtype="float32")
    np.testing.assert_array_equal(exact.T, samples)
    assert rate == files["rate"] == 16_000
    rounded, _ = soundfile.read(io.BytesIO(bytes(files["pcm"])))
    np.testing.assert_allclose(rounded.T, np.clip(samples, -1, 1), atol=1.5 / 32768)
    np.testing.assert_array_equal(np.array(files["read"]), rounded.T)
