"""Records what a real server under a real load tells Prometheus, as input series for `promtool test rules`.

    python deploy/prometheus/record_load.py > deploy/prometheus/recorded_load.yaml

Starts the embedded server with the demo checkpoints; callers come (a third of the slots, then three times as many as
there are slots), and leave again. One sample a second, written as one every 15 seconds: what a scrape would see of a
load that lasts as many minutes as this one lasts quarter minutes.
"""

from __future__ import annotations

import re
import sys
import threading
import time
import urllib.request

from audiocraft_client import AudioCraftError, Client

from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options

PHASES = ((10, 0), (20, 3), (30, 24), (30, 0))
"""Seconds, and callers at once."""
CLIP_SECONDS = 4.0
SERIES = re.compile(r'^(audiocraft_(?:active_slots|waiting_requests|slots)\{[^}]*model="musicgen"[^}]*}) (\S+)', re.M)


def main() -> None:
    """Records, and prints YAML."""
    options = Options(http_port=0, grpc_port=0, metrics_port=0)
    samples: dict[str, list[int]] = {}
    with EmbeddedServer(options) as server:
        for seconds, callers in PHASES:
            leave = threading.Event()
            threads = [threading.Thread(target=call, args=(server.grpc_url, leave)) for _ in range(callers)]
            for thread in threads:
                thread.start()
            for _ in range(seconds):
                time.sleep(1)
                for name, value in SERIES.findall(scrape(server.metrics_url)):
                    samples.setdefault(name, []).append(round(float(value)))
            leave.set()
            for thread in threads:
                thread.join()
            print(f"{seconds} s with {callers} callers", file=sys.stderr)
    print("# Made by record_load.py: a sample of a real server for every 15 seconds here.")
    print("input_series:")
    for name, values in sorted(samples.items()):
        labelled = name.replace("}", ',namespace="audio",pod="triton-1",instance="triton-1:8002"}')
        print(f"  - series: '{labelled}'\n    values: '{' '.join(map(str, values))}'")


def call(address: str, leave: threading.Event) -> None:
    """One listener after the other, until told to leave."""
    with Client(address) as client:
        while not leave.is_set():
            try:
                client.music("calm solo piano", duration=CLIP_SECONDS)
            except AudioCraftError as error:
                print(error, file=sys.stderr)


def scrape(url: str) -> str:
    """The server's metrics."""
    with urllib.request.urlopen(url) as answer:
        text: str = answer.read().decode()
        return text


if __name__ == "__main__":
    main()
