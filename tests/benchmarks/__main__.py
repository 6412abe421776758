"""`make bench`: every comparison with a named peer; docs/BENCHMARKS.md has the figures."""

from __future__ import annotations

from tests.benchmarks import appending, importing, questdb_reading, simulation, streaming

streaming.main(())
importing.main(())
questdb_reading.main(())
appending.main(())
simulation.main([])
