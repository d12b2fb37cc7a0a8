"""Records a real server's metrics under a real load as input series for `promtool test rules`.

    python deploy/prometheus/record_load.py > deploy/prometheus/recorded_load.yaml

Starts the embedded server with the demo checkpoints. Callers arrive (a third of the number of slots, then three times
that number) and leave again. There is one sample per second, written as one per 15 seconds: a scrape's view of a load
that lasts 15 times as long as this one.
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
"""(seconds, concurrent callers) of each phase."""
CLIP_SECONDS = 4.0
SERIES = re.compile(r'^(audiocraft_(?:active_slots|waiting_requests|slots)\{[^}]*model="musicgen"[^}]*}) (\S+)', re.M)


def main() -> None:
    """Records the load and prints YAML."""
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
    print("# Made by record_load.py: one sample of a real server per 15 seconds of this file.")
    print("input_series:")
    for name, values in sorted(samples.items()):
        labelled = name.replace("}", ',namespace="audio",pod="triton-1",instance="triton-1:8002"}')
        print(f"  - series: '{labelled}'\n    values: '{' '.join(map(str, values))}'")


def call(address: str, leave: threading.Event) -> None:
    """Requests one clip after the other until told to leave."""
    with Client(address) as client:
        while not leave.is_set():
            try:
                client.music("calm solo piano", duration=CLIP_SECONDS)
            except AudioCraftError as error:
                print(error, file=sys.stderr)


def scrape(url: str) -> str:
    """Returns the server's metrics."""
    with urllib.request.urlopen(url) as answer:
        text: str = answer.read().decode()
        return text


if __name__ == "__main__":
    main()
