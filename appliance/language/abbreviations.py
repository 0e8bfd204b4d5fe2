"""Words that are written with a full stop, so that one behind them is rarely the end of a sentence.

English, German, French and Spanish. Left out on purpose: single letters, which every reader of text treats as initials, and what
ends sentences as often as not ("etc.") or is a word of its own in another of our languages ("mar").
"""

from __future__ import annotations

_WORDS = """
    abb abs al approx apr art aug bd bspw bzgl bzw ca cap capt cf co corp cpt dec dept dr dra ed eds eg esp est evtl ext
    feb fig figs gem ggf hr ie inc jan jr jul jun ltd max min mio mme mr mrs ms mt nos nov nr núm oct pp prof pág ref resp
    rev sec sep sept sr sra srta st std str tab tel ud uds usw vgl vol vs zb zzgl
"""
ABBREVIATIONS = frozenset(_WORDS.split())
"""In small letters, without the stop."""
