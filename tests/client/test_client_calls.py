"""What is sent, and how the answers are read."""

import io
import json

import numpy as np
import pytest
import soundfile
from audiocraft_client import Audio, Client, Codes, FeatureLayer, InvalidRequest, ServerFailure
from audiocraft_client.errors import ServerUnreachable
from fake_triton import RATE, FakeStreamingTransport, FakeTransport, clip, scores, tone


def sent(transport):
    """The one request's (model, tensors by name, outputs)."""
    (request,) = transport.requests
    return request


def test_tensors_have_the_datatypes_of_the_servers_metadata():
    transport = FakeTransport(clip(tone()))
    Client(transport=transport).music("piano", duration=5, top_k=50, seed=2**40, decoder="encodec")
    model, tensors, _ = sent(transport)
    assert model == "musicgen"
    assert {name: (t.datatype, t.data.dtype, t.data.tolist()) for name, t in tensors.items()} == {
        "text": ("BYTES", np.object_, [b"piano"]),
        "duration": ("FP32", np.float32, [5.0]),
        "top_k": ("INT32", np.int32, [50]),
        "seed": ("INT64", np.int64, [2**40]),
        "decoder": ("BYTES", np.object_, [b"encodec"]),
    }


def test_an_input_left_out_is_not_sent():
    transport = FakeTransport(clip(tone()))
    Client(transport=transport).sound("rain", duration=None, seed=None)
    model, tensors, outputs = sent(transport)
    assert (model, list(tensors), outputs) == ("audiogen", ["text"], ("waveform", "sample_rate", "seed"))


def test_zero_is_a_value_and_is_sent():
    transport = FakeTransport(clip(tone()))
    Client(transport=transport).music("", temperature=0, seed=0)
    assert list(sent(transport)[1]) == ["text", "temperature", "seed"]


def test_metadata_is_asked_once_per_model():
    transport = FakeTransport(clip(tone()), clip(tone()), clip(tone()))
    client = Client(transport=transport)
    client.music("a")
    client.music("b")
    client.sound("c")
    assert transport.metadata_asked == ["musicgen", "audiogen"]


def test_an_input_the_model_lacks_is_named_and_nothing_is_sent():
    transport = FakeTransport()
    with pytest.raises(InvalidRequest, match=r"'decode' has no input 'seed'"):
        Client(transport=transport).decode(np.zeros((4, 5), np.int32), seed=3)
    assert transport.requests == []


def test_a_misspelt_option_is_refused():
    with pytest.raises(TypeError, match="durration"):
        Client(transport=FakeTransport()).music("x", durration=3)


@pytest.mark.parametrize("value", [2.5, 2**40, "many", float("nan")])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_number_that_does_not_fit_is_refused_rather_than_changed(value):
    transport = FakeTransport()
    with pytest.raises(InvalidRequest, match="top_k"):
        Client(transport=transport).music("x", top_k=value)
    assert transport.requests == []


def test_audio_inputs_may_be_path_bytes_file_or_audio(tmp_path):
    audio = Audio(tone(), RATE)
    audio.save(path := tmp_path / "a.wav")
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        transport = FakeTransport(clip(tone()))
        Client(transport=transport).music("x", continuation=source)
        assert sent(transport)[1]["continuation"].data[0] == path.read_bytes()
    loud = Audio(3 * tone(), RATE)
    transport = FakeTransport(clip(tone()))
    Client(transport=transport).music("x", melody=loud)
    samples, rate = soundfile.read(io.BytesIO(sent(transport)[1]["melody"].data[0]), dtype="float32")
    assert rate == RATE
    assert np.array_equal(samples, loud.waveform[0]), "an Audio goes back to the server bit for bit"


def test_a_text_file_object_is_refused():
    with pytest.raises(InvalidRequest, match="binary file"):
        Client(transport=FakeTransport()).encode(io.StringIO("x"))


def test_a_generated_clip_carries_rate_seed_and_codes_when_asked():
    codes = np.arange(20, dtype=np.int32).reshape(1, 4, 5)
    transport = FakeTransport(clip(tone(1.0, channels=2), seed=2**40, codes=codes))
    audio = Client(transport=transport).music("x", return_codes=True)
    assert sent(transport)[2] == ("waveform", "sample_rate", "seed", "codes")
    assert (audio.waveform.shape, audio.sample_rate, audio.seed) == ((2, RATE), RATE, 2**40)
    assert audio.duration == 1.0
    assert np.array_equal(audio.codes, codes[0])


def test_encode_returns_codes_without_the_batch_axis():
    answer = {
        "codes": np.ones((1, 4, 50), np.int32),
        "sample_rate": np.array([RATE], np.int32),
        "duration": np.array([1.0], np.float32),
    }
    codes = Client(transport=FakeTransport(answer)).encode(b"RIFF")
    assert (codes.codes.shape, codes.sample_rate, codes.duration) == ((4, 50), RATE, 1.0)


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5)])
def test_decode_sends_codes_with_a_batch_axis(shape):
    transport = FakeTransport({"waveform": tone(), "sample_rate": np.array([RATE], np.int32)})
    audio = Client(transport=transport).decode(np.zeros(shape, np.int64))
    model, tensors, outputs = sent(transport)
    assert (model, outputs, audio.seed) == ("decode", ("waveform", "sample_rate"), None)
    assert (tensors["codes"].data.shape, tensors["codes"].data.dtype) == ((1, 4, 5), np.int32)


def test_multiband_diffusion_is_a_model_of_its_own_with_a_seed_per_row():
    answer = {"waveform": tone()[None], "sample_rate": np.array([[RATE]]), "seed": np.array([[9]])}
    transport = FakeTransport(answer)
    codes = Codes(np.zeros((4, 5), np.int32), RATE, 0.1)
    audio = Client(transport=transport).decode(codes, "multiband_diffusion", seed=9)
    model, tensors, _ = sent(transport)
    assert (model, tensors["seed"].data.tolist()) == ("multiband_diffusion", [[9]])
    assert (audio.waveform.shape, audio.seed) == (tone().shape, 9)


@pytest.mark.parametrize("shape", [(5,), (2, 4, 5), (1, 1, 4, 5)])
def test_codes_of_another_shape_are_refused(shape):
    with pytest.raises(InvalidRequest, match="codebooks, frames"):
        Client(transport=FakeTransport()).decode(np.zeros(shape, np.int32))


def test_analysis_reads_scores_and_the_feature_layout():
    layout = [{"discriminator": "mpd", "part": "2", "layer": 0, "channels": 2, "offset": 0}]
    answer = {
        **scores(),
        "feature_maps": np.zeros((2, 2), np.float32),
        "feature_layout": np.array([json.dumps(layout).encode()], np.object_),
    }
    transport = FakeTransport(answer)
    analysis = Client(transport=transport).analyze(b"RIFF", threshold=0.4, feature_maps=True)
    assert sent(transport)[1]["threshold"].data.dtype == np.float32
    assert sent(transport)[2][-2:] == ("feature_maps", "feature_layout")
    assert (analysis.mpd_score, analysis.msd_score, analysis.msstftd_score) == (0.25, 0.5, 0.75)
    assert (analysis.is_real, analysis.calibrated, analysis.window_seconds) == (True, False, 2.0)
    assert analysis.window_starts == [0.0, 1.0]
    assert analysis.window_scores.shape == (2, 3)
    assert analysis.feature_layout == (FeatureLayer("mpd", "2", 0, 2, 0),)


def test_feature_maps_are_not_computed_unless_asked():
    transport = FakeTransport(scores())
    assert Client(transport=transport).analyze(b"RIFF").feature_maps is None
    assert not {"feature_maps", "feature_layout"} & set(sent(transport)[2])


def test_a_missing_output_is_the_servers_failure():
    with pytest.raises(ServerFailure, match="sample_rate"):
        Client(transport=FakeTransport({"waveform": tone()})).music("x")


def test_chunks_know_their_place_and_the_empty_final_response_is_not_one():
    codes = np.ones((1, 4, 5), np.int32)
    transport = FakeStreamingTransport(clip(tone(0.5)), clip(tone(0.25), codes=codes), {})
    client = Client(transport=transport)
    chunks = list(client.stream("x", "sound", chunk_seconds=0.5, return_codes=True))
    model, tensors, _ = sent(transport)
    assert (model, tensors["chunk_seconds"].data.tolist()) == ("audiogen_stream", [0.5])
    assert [(c.index, c.start, c.duration, c.seed) for c in chunks] == [(0, 0.0, 0.5, 7), (1, 0.5, 0.25, 7)]
    joined = Audio.from_chunks(chunks)
    assert np.array_equal(joined.waveform, np.concatenate([tone(0.5), tone(0.25)], axis=1))
    assert (joined.seed, joined.codes.shape) == (7, (4, 5))


def test_closing_a_stream_early_closes_the_wire():
    transport = FakeStreamingTransport(clip(tone()), clip(tone()))
    stream = Client(transport=transport).stream("x")
    next(stream)
    assert not transport.stream_closed
    stream.close()
    assert transport.stream_closed


def test_an_unknown_stream_model_is_refused():
    with pytest.raises(InvalidRequest, match="music, sound"):
        Client(transport=FakeStreamingTransport()).stream("x", model="speech")


def test_health_turns_an_unreachable_server_into_a_state():
    health = Client(transport=FakeTransport(health=ServerUnreachable("nobody home"))).health()
    assert (health.status, health.reason, health.ready) == ("unreachable", "nobody home", False)
    assert health.discriminators == {"mpd": False, "msd": False, "msstftd": False}


def test_leaving_the_context_closes_the_transport():
    transport = FakeTransport()
    with Client(transport=transport):
        assert not transport.closed
    assert transport.closed
