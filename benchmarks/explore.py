"""How long a click of `desali explore` takes, from the request to four pictures and four controls, and how it starts.

    python -m benchmarks.explore                          # caffenet-small, caffenet, squeezenet1_0, and the start
    python -m benchmarks.explore --clicks 10000 --only caffenet-small     # memory over many clicks

Every answer comes by HTTP from a server in another process. Beside the time that passes stands the time that the
server's processor worked: on a machine with other work the first says little, and on idle cores it is at most the
second, since a click uses no more than two threads.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import on_disk

NETWORKS = ("caffenet-small", "caffenet", "squeezenet1_0")
MODELS = 4
SOURCES = ("neuron", "channel", "contrast")


class Explorer:
    """A server of four networks with random weights over noise."""

    def __init__(self, runs: Path, images: list[Path], *more: str) -> None:
        line = [sys.executable, "-m", "desali.cli.main", "explore", "--runs", str(runs), "--no-browser", "--port", "0"]
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [*line, *more, *map(str, images)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        for text in self.process.stdout:
            found = re.search(r"127\.0\.0\.1:(\d+)/\?token=(\S+)", text)
            if found:
                break
        else:
            raise RuntimeError("the server did not start")
        self.connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=600)
        self.cookie = ""
        self.connection.request("GET", f"/?token={found[2]}")
        answer = self.connection.getresponse()
        answer.read()
        self.cookie = str(answer.getheader("set-cookie")).partition(";")[0]

    def ask(self, what: str, **params: Any) -> Any:
        """An answer as JSON."""
        query = "&".join(f"{'from' if name == 'source' else name}={value}" for name, value in params.items())
        self.connection.request("GET", f"/api/{what}?{query}", headers={"Cookie": self.cookie})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{what} {params}: {answer.status} {body[:200]!r}")
        return json.loads(body)

    def worked(self) -> float:
        """Seconds that the processor worked for the server's threads."""
        return sum(int(one.read_text().split()[0]) for one in self._threads()) / 1e9

    def _threads(self) -> list[Path]:
        return list(Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"))

    def mib(self) -> float:
        """Its resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def idle(self) -> None:
        """Wait until the background is quiet."""
        self.connection.close()
        last = self.worked()
        while True:
            time.sleep(1.5)
            now = self.worked()
            if now - last < 0.05:
                return
            last = now

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(120)
        finally:
            self.process.kill()


def clicks(explorer: Explorer, count: int, seed: int = 0) -> dict[str, Any]:
    """Milliseconds by kind of click, passed and worked."""
    rng = np.random.default_rng(seed)
    known = explorer.ask("session")
    layers = [one for one in known["models"][0]["layers"] if one["rectifies"] and one["spatial"]]
    images = [one["id"] for one in known["images"]]
    found: dict[str, list[tuple[float, float]]] = {}

    def click(kind: str, image: str, source: str) -> None:
        layer = layers[int(rng.integers(len(layers)))]
        channel, y, x = (int(rng.integers(layer[name])) for name in ("channels", "height", "width"))
        worked, begun = explorer.worked(), time.perf_counter()
        answer = explorer.ask("view", image=image, layer=layer["name"], source=source, channel=channel, y=y, x=x,
                              a=int(rng.integers(len(known["classes"]) or 10)))  # fmt: skip
        passed = time.perf_counter() - begun
        if any("error" in one for one in answer["models"]) or len(answer["models"]) != MODELS:
            raise RuntimeError(answer)
        found.setdefault(kind, []).append((1000 * passed, 1000 * (explorer.worked() - worked)))
        if source == "contrast":
            return
        worked, begun = explorer.worked(), time.perf_counter()
        explorer.ask("likeness", image=image, layer=layer["name"], source=source, channel=channel, y=y, x=x)
        passed = time.perf_counter() - begun
        found.setdefault(f"{kind}: other draws", []).append((1000 * passed, 1000 * (explorer.worked() - worked)))

    for image in images[1:]:
        click("new image", image, "neuron")
    for source in SOURCES:
        click("seen before", images[0], source)
        for _ in range(count):
            click(f"{source}, recorded", images[0], source)
    return {kind: {
        "clicks": len(times),
        **{f"{what}_{name}": float(np.quantile([one[place] for one in times], at))
           for place, what in enumerate(("passed", "worked")) for name, at in (("p50", 0.5), ("p95", 0.95))},
        "passed_min": min(one[0] for one in times),
    } for kind, times in found.items()}  # fmt: skip


def first_and_later(explorer: Explorer) -> tuple[float, float]:
    """Milliseconds that the processor worked for the first click after the warm-up, and the median of twenty more."""
    known = explorer.ask("session")
    layer = [one for one in known["models"][0]["layers"] if one["rectifies"] and one["spatial"]][1]
    times = []
    for k in range(21):
        worked = explorer.worked()
        explorer.ask("view", image=known["images"][0]["id"], layer=layer["name"], source="channel", channel=k + 1)
        times.append(1000 * (explorer.worked() - worked))
    return times[0], float(np.median(times[1:]))


def start(runs: Path, files: list[Path]) -> dict[str, float]:
    """Seconds until `session` is answered, passed and worked, and those of `import torch` alone; the best of three."""
    found: dict[str, list[float]] = {}
    for _ in range(3):
        with Explorer(runs, files[:1]) as explorer:
            explorer.ask("session")
            found.setdefault("start_passed", []).append(time.perf_counter() - explorer.begun)
            found.setdefault("start_worked", []).append(explorer.worked())
        begun, worked = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.setdefault("torch_passed", []).append(time.perf_counter() - begun)
        own = now.ru_utime + now.ru_stime - worked.ru_utime - worked.ru_stime
        found.setdefault("torch_worked", []).append(own)
    return {name: min(values) for name, values in found.items()}


def many(explorer: Explorer, count: int) -> list[float]:
    """MiB after each tenth of so many clicks."""
    known = explorer.ask("session")
    layers = [one for one in known["models"][0]["layers"] if one["rectifies"] and one["spatial"]]
    images = [one["id"] for one in known["images"]]
    found = []
    for k in range(count):
        layer = layers[k % len(layers)]
        explorer.ask("view", image=images[k % len(images)], layer=layer["name"], source=SOURCES[k % 2],
                     channel=k % layer["channels"])  # fmt: skip
        if (k + 1) % max(1, count // 10) == 0:
            found.append(round(explorer.mib(), 1))
            print(f"{k + 1} clicks: {found[-1]:.1f} MiB", flush=True)
    return found


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NETWORKS, help="one network")
    parser.add_argument("--count", type=int, default=30, help="clicks of each kind")
    parser.add_argument("--clicks", type=int, default=0, help="instead: memory over so many clicks")
    asked = parser.parse_args()
    for name in [asked.only] if asked.only else NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            runs, count = Path(folder) / "runs", 97 if asked.clicks else asked.count + 1
            on_disk.networks(name, runs, MODELS)
            files = on_disk.images(name, Path(folder), count)
            if asked.clicks:
                with Explorer(runs, files, "--cache", "64") as explorer:
                    explorer.idle()
                    print(json.dumps({"network": name, "clicks": asked.clicks, "mib": many(explorer, asked.clicks)}))
                continue
            row: dict[str, Any] = {"network": name, "seconds": start(runs, files)}
            with Explorer(runs, files) as explorer:
                explorer.idle()
                first, later = first_and_later(explorer)
                row |= {"first_ms": first, "later_ms": later, **clicks(explorer, asked.count), "mib": explorer.mib()}
            print(json.dumps(row, indent=1), flush=True)


if __name__ == "__main__":
    main()
