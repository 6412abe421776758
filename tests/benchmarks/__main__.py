"""`make bench`: every comparison with a named peer; docs/BENCHMARKS.md has the figures."""

from __future__ import annotations

from tests.benchmarks import simulation, streaming

streaming.main(())
simulation.main([])
