"""gRPC to use cases: read the request, one call, write the answer.

The service's methods stand in modules by what they are about; this puts them together.
"""

from __future__ import annotations

from services.dataset.app.adopting import Adoptions
from services.dataset.app.appending import Appends
from services.dataset.app.bars import Bars
from services.dataset.app.checking import Checking
from services.dataset.app.datasets import Datasets
from services.dataset.app.describing import Describing
from services.dataset.app.history import History
from services.dataset.app.importing import Imports
from services.dataset.app.sniffing import Sniffing
from services.dataset.app.tiles import Tiles
from services.dataset.app.verifying import Verifying
from services.dataset.app.watching import Watches
from services.dataset.servicer.cataloguing import Cataloguing
from services.dataset.servicer.publishing import Publishing
from services.dataset.servicer.row_reading import RowReading
from services.shared.arrow_stream import DataStreams


class DatasetServicer(Publishing, Cataloguing, RowReading):
    """The data streams write messages that are serialized already (see arrow_stream)."""

    def __init__(
        self,
        *,
        checking: Checking,
        datasets: Datasets,
        history: History,
        verifying: Verifying,
        watches: Watches,
        imports: Imports,
        appends: Appends,
        adoptions: Adoptions,
        sniffing: Sniffing,
        bars: Bars,
        describing: Describing,
        tiles: Tiles,
        streams: DataStreams,
        max_upload_bytes: int,
    ) -> None:
        self._checking = checking
        self._datasets = datasets
        self._history = history
        self._verifying = verifying
        self._watches = watches
        self._imports = imports
        self._appends = appends
        self._adoptions = adoptions
        self._sniffing = sniffing
        self._bars = bars
        self._describing = describing
        self._tiles = tiles
        self._streams = streams
        self._max_upload_bytes = max_upload_bytes
