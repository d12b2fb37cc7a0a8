"""Making Triton's log readable. The raw lines are those of 2.51.0 on a machine without a GPU."""

from __future__ import annotations

import pytest

from audiocraft_triton.serving.embedded.log import LogLine, LogReader

FAILED = (
    "E1122 16:18:47.628733 25262 model_lifecycle.cc:642] \"failed to load 'broken' version 1: Internal: "
    r'RuntimeError: the weights are gone\n\nAt:\n  /tmp/rep/broken/1/model.py(2): initialize\n"'
)
NEWS = {
    "I1122 16:18:50.824316 25325 model_lifecycle.cc:839] \"successfully loaded 'musicgen'\"": LogLine(
        "INFO", "16:18:50 INFO    successfully loaded 'musicgen'"
    ),
    'I1122 16:18:50.827934 25325 grpc_server.cc:2558] "Started GRPCInferenceService at 127.0.0.1:38331"': LogLine(
        "INFO", "16:18:50 INFO    Started GRPCInferenceService at 127.0.0.1:38331"
    ),
    'W1122 16:18:50.827934 25325 server.cc:1] "deprecated option"': LogLine(
        "WARNING", "16:18:50 WARNING deprecated option"
    ),
    'I1122 16:18:50.827934 25325 model.py:12] "checkpoint demo on cpu"': LogLine(
        "INFO", "16:18:50 INFO    checkpoint demo on cpu"
    ),
    "error: creating server: Internal - failed to load all models": LogLine(
        "INFO", "error: creating server: Internal - failed to load all models"
    ),
    FAILED: LogLine(
        "ERROR", "16:18:47 ERROR   failed to load 'broken' version 1: Internal: RuntimeError: the weights are gone"
    ),
}
GPU_NOISE = [
    'W1122 16:18:47.274683 25262 pinned_memory_manager.cc:273] "Unable to allocate pinned system memory, pinned memory '
    'pool will not be available: CUDA driver version is insufficient for CUDA runtime version"',
    'I1122 16:18:47.274753 25262 cuda_memory_manager.cc:117] "CUDA memory pool disabled"',
    'E1122 16:18:47.274802 25262 server.cc:241] "CudaDriverHelper has not been initialized."',
    'W1122 16:18:47.629956 25262 metrics.cc:798] "DCGM unable to start: DCGM initialization error"',
    "Error: Failed to initialize NVML",
]
ROUTINE = [
    'I1122 16:18:47.276146 25262 model_lifecycle.cc:472] "loading: musicgen:1"',
    'I1122 16:18:47.278338 25262 python_be.cc:2249] "TRITONBACKEND_ModelInitialize: musicgen (version 1)"',
    "I1122 16:18:47.629011 25262 server.cc:604] ",
    "",
    "+----------+---------+--------+",
    "| musicgen | 1       | READY  |",
    'I1122 16:18:50.896671 25325 server.cc:321] "Timeout 10: Found 0 model versions that have in-flight inferences"',
]
SAID_TWICE = (
    'E1122 16:18:47.628605 25262 backend_model.cc:692] "ERROR: Failed to create instance: RuntimeError: the weights '
    r'are gone\n\nAt:\n  /tmp/rep/broken/1/model.py(2): initialize\n"'
)


@pytest.mark.parametrize("raw", NEWS)
def test_news_and_failures_are_shown_as_time_level_and_message(raw: str) -> None:
    assert LogReader(has_gpu=False).read(raw + "\n") == NEWS[raw]


@pytest.mark.parametrize("raw", GPU_NOISE)
def test_messages_about_an_absent_gpu_are_not_shown(raw: str) -> None:
    assert LogReader(has_gpu=False).read(raw) is None


@pytest.mark.parametrize("raw", [GPU_NOISE[0], *GPU_NOISE[2:]])
def test_warnings_about_a_gpu_are_shown_on_a_machine_with_one(raw: str) -> None:
    assert LogReader(has_gpu=True).read(raw) is not None


@pytest.mark.parametrize("raw", [*ROUTINE, SAID_TWICE])
def test_routine_tables_and_repetitions_are_not_shown(raw: str) -> None:
    assert LogReader(has_gpu=False).read(raw) is None


def test_the_reason_why_a_model_did_not_load_is_shown_even_if_it_mentions_gpus() -> None:
    raw = FAILED.replace("the weights are gone", "CUDA driver version is insufficient")
    line = LogReader(has_gpu=False).read(raw)
    assert line is not None
    assert line.text.endswith("RuntimeError: CUDA driver version is insufficient")


def test_pythons_traces_are_cut_from_a_message_of_several_lines() -> None:
    reader = LogReader(has_gpu=False)
    trace = ("At:", "  /tmp/rep/broken/1/model.py(2): initialize", "  <frozen importlib._bootstrap>(241): _call")
    assert [reader.read(raw) for raw in trace] == [None] * 3


@pytest.mark.parametrize("raw", [*NEWS, *GPU_NOISE, *ROUTINE, SAID_TWICE])
def test_verbose_keeps_every_line_that_says_something(raw: str) -> None:
    line = LogReader(has_gpu=False, verbose=True).read(raw)
    assert (line is None) is (raw == "")
    if raw == FAILED:
        assert line is not None
        assert r"\n\nAt:\n  /tmp/rep/broken/1/model.py(2): initialize" in line.text
