"""Indicators and targets of the example bars, as a TSSB database.

    python examples/make_indicators.py [bars.csv [indicators.txt]]

Row t uses bars up to and including t; only the two targets look ahead. Rows for
which a value is missing are left out, at the head (lookback) and at the tail
(the targets' horizon), as TSSB does.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Series = NDArray[np.float64]

HERE: Final = Path(__file__).parent
BARS: Final = HERE / "eurusd_1h_2017_ask.csv"
INDICATORS: Final = HERE / "eurusd_1h_2017_indicators.txt"

HORIZON_BARS: Final = 6
PLANTED_STRENGTH: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Bars:
    date: NDArray[np.int64]  # YYYYMMDD of the bar's open, UTC
    time: NDArray[np.int64]  # HHMM of the same
    open: Series
    high: Series
    low: Series
    close: Series
    volume: Series


def read_bars(path: Path) -> Bars:
    table = pl.read_csv(path)
    opened = table["Time"].str.to_datetime("%d.%m.%Y %H:%M:%S%.3f")
    prices = {n.lower(): table[n].cast(pl.Float64).to_numpy() for n in table.columns[1:]}
    return Bars(
        date=opened.dt.strftime("%Y%m%d").cast(pl.Int64).to_numpy(),
        time=opened.dt.strftime("%H%M").cast(pl.Int64).to_numpy(),
        **prices,
    )


def lagged(x: Series, bars: int) -> Series:
    """x as it was `bars` ago; negative: as it will be."""
    out = np.full_like(x, np.nan)
    if bars > 0:
        out[bars:] = x[:-bars]
    else:
        out[:bars] = x[-bars:]
    return out


def windows(x: Series, bars: int) -> Series:
    """Shape (len(x), bars): row t holds the last `bars` values; NaN before the first."""
    return sliding_window_view(np.concatenate([np.full(bars - 1, np.nan), x]), bars)


def mean(x: Series, bars: int) -> Series:
    means: Series = windows(x, bars).mean(axis=1)
    return means


def deviation(x: Series, bars: int) -> Series:
    deviations: Series = windows(x, bars).std(axis=1)
    return deviations


def z_score(x: Series, bars: int) -> Series:
    return (x - mean(x, bars)) / deviation(x, bars)


def atr(b: Bars, bars: int) -> Series:
    """Simple mean of the true range."""
    before = lagged(b.close, 1)
    true_range = np.maximum(b.high, before) - np.minimum(b.low, before)
    return mean(np.where(np.isnan(before), np.nan, true_range), bars)


def rsi(x: Series, bars: int) -> Series:
    """Cutler's: simple means, so that the lookback is finite."""
    change = x - lagged(x, 1)
    up, down = mean(np.maximum(change, 0), bars), mean(np.maximum(-change, 0), bars)
    return 100 * up / (up + down)


def position_in_range(b: Bars, bars: int) -> Series:
    """0 at the lowest low, 100 at the highest high (%K of the stochastic)."""
    low: Series = windows(b.low, bars).min(axis=1)
    high: Series = windows(b.high, bars).max(axis=1)
    return 100 * (b.close - low) / (high - low)


def directional(b: Bars, bars: int) -> tuple[Series, Series]:
    """(DI+ minus DI-, ADX) with simple means instead of Wilder's."""
    up, down = b.high - lagged(b.high, 1), lagged(b.low, 1) - b.low
    plus = mean(np.where(np.isnan(up), np.nan, np.where(up > down, np.maximum(up, 0), 0)), bars)
    minus = mean(np.where(np.isnan(up), np.nan, np.where(down > up, np.maximum(down, 0), 0)), bars)
    difference = (plus - minus) / atr(b, bars)
    return 100 * difference, 100 * mean(np.abs(plus - minus) / (plus + minus), bars)


def commodity_channel(b: Bars, bars: int) -> Series:
    typical = (b.high + b.low + b.close) / 3
    centre = mean(typical, bars)
    away: Series = np.abs(windows(typical, bars) - centre[:, None]).mean(axis=1)
    return (typical - centre) / (0.015 * away)


def slope(x: Series, bars: int) -> Series:
    """Change per bar of the least-squares line."""
    steps = np.arange(bars) - (bars - 1) / 2
    return windows(x, bars) @ steps / (steps @ steps)


def skewness(x: Series, bars: int) -> Series:
    w = windows(x, bars)
    centred = w - w.mean(axis=1, keepdims=True)
    variance: Series = (centred**2).mean(axis=1)
    third: Series = (centred**3).mean(axis=1)
    return third / variance**1.5


def features(b: Bars) -> dict[str, Series]:
    scale = atr(b, 20)
    change = b.close - lagged(b.close, 1)
    di_difference, adx = directional(b, 14)
    path = mean(np.abs(change), 20) * 20
    return {
        "RET_ATR_1": change / scale,
        "RET_ATR_6": (b.close - lagged(b.close, 6)) / scale,
        "RET_ATR_24": (b.close - lagged(b.close, 24)) / scale,
        "RSI_14": rsi(b.close, 14),
        "RSI_50": rsi(b.close, 50),
        "STOCH_14": position_in_range(b, 14),
        "DONCHIAN_50": position_in_range(b, 50),
        "BODY_ATR": (b.close - b.open) / scale,
        "BOLL_POS_20": z_score(b.close, 20),
        "BOLL_WIDTH_20": deviation(b.close, 20) / scale,
        "Z_CLOSE_60": z_score(b.close, 60),
        "Z_CLOSE_120": z_score(b.close, 120),
        "MACD_12_26": (mean(b.close, 12) - mean(b.close, 26)) / scale,
        "SLOPE_20": slope(b.close, 20) / scale,
        "CCI_20": commodity_channel(b, 20),
        "ADX_14": adx,
        "DI_DIFF_14": di_difference,
        "EFFICIENCY_20": (b.close - lagged(b.close, 20)) / path,
        "ATR_RATIO": atr(b, 12) / atr(b, 120),
        "VOLUME_Z_20": z_score(np.log1p(b.volume), 20),
        "SKEW_60": skewness(change, 60),
        "UP_SHARE_20": mean(np.where(np.isnan(change), np.nan, change > 0), 20),
    }


def forward_return(b: Bars) -> Series:
    """From the next open, where an order given at t fills, to the close of bar t + 6, in ATRs."""
    return (lagged(b.close, -HORIZON_BARS) - lagged(b.open, -1)) / atr(b, 20)


def planted(target: Series, indicator: Series) -> Series:
    """The target with a known signal in it."""
    z: Series = (indicator - indicator.mean()) / indicator.std()
    return target + PLANTED_STRENGTH * float(target.std()) * z


def database(b: Bars) -> str:
    columns = features(b) | {"TGT_FWD6": forward_return(b)}
    rows = np.flatnonzero(np.isfinite(np.column_stack(list(columns.values()))).all(axis=1))
    if rows[-1] - rows[0] + 1 != len(rows):
        raise ValueError("A value is missing between the first and the last complete row.")
    columns = {name: x[rows] for name, x in columns.items()}
    columns["TGT_PLANTED"] = planted(columns["TGT_FWD6"], columns["BOLL_POS_20"])
    # Digits beyond the sixth may differ between processors; adding 0 turns -0 into 0.
    values = np.round(np.column_stack(list(columns.values())), 6) + 0.0
    text = StringIO()
    np.savetxt(
        text,
        np.column_stack([b.date[rows], b.time[rows], values]),
        fmt=["%d", "%04d"] + ["%.6g"] * len(columns),
        header=" ".join(["Date", "Time", *columns]),
        comments="",
    )
    return text.getvalue()


def main(bars: str = str(BARS), indicators: str = str(INDICATORS)) -> None:
    text = database(read_bars(Path(bars)))  # before the file is opened: opening empties it
    Path(indicators).write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
