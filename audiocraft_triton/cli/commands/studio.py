"""`audiocraft-triton studio`: the embedded server and the gateway side by side, and the address of the page."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from audiocraft_triton.cli.console import console, fail, show, stop_on_sigterm
from audiocraft_triton.cli.options import Repository
from audiocraft_triton.cli.preparation import prepare_to_serve
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.serving.child import die_with_parent, kill_group
from audiocraft_triton.serving.embedded.installation import ServerNotInstalled
from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options, ServerFailed, answers

ADDRESS = "127.0.0.1"
STOP_SECONDS = 10
READY_SECONDS = 120


def studio(
    repository: Repository,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 picks a free one.")] = 8080,
    verbose: Annotated[bool, typer.Option(help="Show the server's whole log.")] = False,
) -> None:
    """Starts the embedded server and the REST gateway with its studio page, until Ctrl-C. Loopback only."""
    stop_on_sigterm()
    try:
        chosen = choose_port(port)
        prepare_to_serve(repository)
        options = Options(repository=repository, http_port=0, grpc_port=0, metrics_port=0, verbose=verbose)
        with EmbeddedServer(options, show=show) as server:
            raise typer.Exit(run_studio(server, chosen, typer.echo))
    except KeyboardInterrupt:
        console.print("stopped")
    except CheckpointError as error:
        fail(error, status=2)
    except ServerFailed as error:
        fail(error, status=2 if error.bad_option else 1)
    except ServerNotInstalled as error:
        fail(error, status=1)


def choose_port(port: int) -> int:
    """The port for the page, a free one for 0; asked before the server starts, which takes a while.

    Raises:
        ServerFailed: it is taken.
    """
    try:
        with socket.create_server((ADDRESS, port)) as probe:
            chosen: int = probe.getsockname()[1]
            return chosen
    except OSError as error:
        raise ServerFailed(
            f"port {port} on {ADDRESS} can't be used ({error.strerror}); give another, or 0 for a free one",
            bad_option=True,
        ) from error


def run_studio(server: EmbeddedServer, port: int, report: Callable[[str], None]) -> int:
    """Runs the gateway in front of a started server until one of them ends, or until KeyboardInterrupt.

    Args:
        server: started already.
        port: of the page.
        report: is told the address, once the page answers.

    Returns:
        An exit status: of the one that ended by itself.

    Raises:
        ServerFailed: the gateway did not start; its own words are on stderr.
    """
    with _gateway(server.grpc_url, port) as (process, url):
        report(f"\nstudio {url}/  documentation {url}/docs  metrics {url}/metrics\nCtrl-C stops it and the server.")
        ended: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        for name, wait in (("tritonserver", server.wait), ("the gateway", process.wait)):
            threading.Thread(target=_tell_end, args=(ended, name, wait), daemon=True).start()
        name, status = ended.get()
        report(f"{name} ended by itself with status {status}")
        return exit_status(status)


def exit_status(status: int) -> int:
    """A child's status as one's own: never 0, for it should not have ended; 128 and the number for a signal."""
    return 128 - status if status < 0 else status or 1


@contextmanager
def _gateway(triton: str, port: int) -> Generator[tuple[subprocess.Popen[bytes], str], None, None]:
    url = f"http://{ADDRESS}:{port}"
    options = ("--triton", triton, "--host", ADDRESS, "--port", str(port), "--log-format", "console")
    # A session of its own: Ctrl-C reaches us alone, and we stop both in order.
    process = subprocess.Popen(
        [sys.executable, "-m", "audiocraft_triton", "gateway", *options],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    try:
        _wait_until_ready(process, f"{url}/readyz")
        yield process, url
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not answers(url):
        status = process.poll()
        if status is not None:
            raise ServerFailed(f"the gateway ended with status {status} before it was ready", bad_option=status == 2)
        if time.monotonic() > deadline:
            raise ServerFailed(f"the gateway was not ready after {READY_SECONDS} seconds")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks it to end; what is in flight may take some seconds, not the minutes that it may take in a container."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.wait()


def _tell_end(ended: queue.SimpleQueue[tuple[str, int]], name: str, wait: Callable[[], int]) -> None:
    ended.put((name, wait()))
