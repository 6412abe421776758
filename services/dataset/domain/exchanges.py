"""Codes of the exchanges whose trading hours are known, as exchange-calendars has them.

They stand here too, since loading that library takes seconds and much memory,
and a misspelt code should be told at once; a test holds them against it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


EXCHANGES: Final = _words(
    """
    AIXK ASEX BVMF CMES IEPA XAMS XASX XBDA XBEL XBKK XBOG XBOM XBRA XBRU XBSE XBUD XBUE XCBF XCSE
    XCYS XDUB XDUS XEEE XETR XEUR XFRA XHAM XHEL XHKG XICE XIDX XIST XJSE XKAR XKLS XKRX XLIM XLIS
    XLIT XLJU XLON XLUX XMAD XMEX XMIL XMOS XNYS XNZE XOSL XPAR XPHS XPRA XRIS XSAU XSES XSGO XSHG
    XSTO XSTU XSWX XTAE XTAI XTAL XTKS XTSE XWAR XWBO XZAG us_futures
    """
)
ALIASES: Final = _words(
    """
    ARCX ASX BATS BMF BSE BVB CBOT CFE CME COMEX FWB HKEX ICE ICEUS JKT JPX LSE LUXSE NASDAQ NYFE
    NYMEX NYSE OOTC OSE SIX SSE TASE TSX XASE XNAS XTSX
    """
)
CODES: Final = frozenset((*EXCHANGES, *ALIASES))


def unknown_code(name: str, others: tuple[str, ...]) -> str:
    """What to say of a calendar that is neither an exchange nor one of the others."""
    names = {known.upper(): known for known in (*others, *CODES)}
    close = [names[found] for found in get_close_matches(name.upper(), names, 4, 0.6)]
    meant = f": did you mean {' or '.join(close)}?" if close else "."
    return (
        f"is {name!r}, which is no calendar{meant} There are {', '.join(others)} and the exchange "
        "codes of exchange-calendars, such as XNYS, XLON or XTKS (docs/calendars.md lists them)"
    )
