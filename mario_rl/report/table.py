"""An evaluation as a table one can read in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROW = "{:<28} {}"


def evaluation_table(summary: Mapping[str, Any]) -> str:
    """Lay out what `EvaluationReport.summary` returned, or what an evaluation's JSON file holds."""
    episodes, clears = summary["episodes"], summary["clears"]
    ends = ", ".join(f"{end} {count}" for end, count in summary["ends"].items())
    rows = {
        "stage": summary["stage"],
        "protocol": f"{summary['protocol']}, seed {summary['seed']}",
        **_cut_short(summary),
        "cleared": f"{clears} of {episodes}",
        "clear rate": _rate(summary),
        "x [pixels]": _three(summary, "x"),
        "return [points]": _three(summary, "return"),
        "clock at the end, mean": f"{summary['mean_clock']:.0f}",
        "length, mean [agent steps]": f"{summary['mean_length']:.0f}",
        "ended by": ends,
    }
    return "\n".join(_ROW.format(name, value) for name, value in rows.items())


def _rate(summary: Mapping[str, Any]) -> str:
    rate = f"{summary['clear_rate']:.1%}"
    low_to_high = f"{summary['clear_rate_low']:.1%} to {summary['clear_rate_high']:.1%}"
    if _is_cut_short(summary):
        return f"{rate} of those; of all {summary['episodes_asked']} it would be {low_to_high}"
    if summary["protocol"] in ("greedy", "noop"):
        return f"{rate} (every different start was played)"
    return f"{rate} (Wilson 95 %: {low_to_high})"


def _cut_short(summary: Mapping[str, Any]) -> dict[str, str]:
    if not _is_cut_short(summary):
        return {}
    return {
        "CUT SHORT": f"{summary['episodes']} of {summary['episodes_asked']} episodes had ended; played side by side, "
        "short ones end first, so all below leans towards them"
    }


def _is_cut_short(summary: Mapping[str, Any]) -> bool:
    return not summary.get("complete", True)  # older files don't say


def _three(summary: Mapping[str, Any], name: str) -> str:
    mean, median, best = (summary[f"{kind}_{name}"] for kind in ("mean", "median", "best"))
    return f"mean {mean:,.0f}, median {median:,.0f}, best {best:,.0f}"
