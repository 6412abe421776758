"""Reads a file in a process of its own and says how much memory that took.

`python -m tests.unit.dataset_formats.reading FILE KIND`: prints the rows and the growth of
anonymous memory in bytes. Maps of files are not counted: the kernel takes them back when it
needs the room.
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from services.dataset.formats import Kind, Options, describe, read

_WARM: Final = "Date,Open,High,Low,Close\n2024-05-01,1,2,.5,1.5\n2024-05-02,1,2,.5,1.5\n"
_EVERY_S: Final = 0.005


class Watch:
    """The most anonymous memory this process has held while it was watched."""

    def __init__(self) -> None:
        self.most = _anonymous()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(_EVERY_S):
            self.most = max(self.most, _anonymous())


def _anonymous() -> int:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def main(path: Path, kind: Kind) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        warm = Path(folder, "warm")
        warm.write_text(_WARM)
        describe(read(warm, Kind.OHLCV, Options(), aside=Path(folder)).table)
        before = _anonymous()
        with Watch() as watch:
            parsed = read(path, kind, Options(max_bytes=1 << 40), aside=Path(folder))
            describe(parsed.table)
        print(parsed.table.num_rows, watch.most - before)  # noqa: T201 - its answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), Kind(sys.argv[2]))
