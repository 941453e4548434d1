"""An evaluation as a table one can read in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROW = "{:<28} {}"


def evaluation_table(summary: Mapping[str, Any]) -> str:
    """Lay out what `EvaluationReport.summary` returned, or what an evaluation's JSON file holds."""
    episodes, clears = summary["episodes"], summary["clears"]
    rate = f"{summary['clear_rate']:.1%}"
    if summary["protocol"] in ("greedy", "noop"):
        rate += " (every different start was played)"
    else:
        rate += f" (Wilson 95 %: {summary['clear_rate_low']:.1%} to {summary['clear_rate_high']:.1%})"
    ends = ", ".join(f"{end} {count}" for end, count in summary["ends"].items())
    rows = {
        "stage": summary["stage"],
        "protocol": f"{summary['protocol']}, seed {summary['seed']}",
        "cleared": f"{clears} of {episodes}",
        "clear rate": rate,
        "x [pixels]": _three(summary, "x"),
        "return [points]": _three(summary, "return"),
        "clock at the end, mean": f"{summary['mean_clock']:.0f}",
        "length, mean [agent steps]": f"{summary['mean_length']:.0f}",
        "ended by": ends,
    }
    return "\n".join(_ROW.format(name, value) for name, value in rows.items())


def _three(summary: Mapping[str, Any], name: str) -> str:
    mean, median, best = (summary[f"{kind}_{name}"] for kind in ("mean", "median", "best"))
    return f"mean {mean:,.0f}, median {median:,.0f}, best {best:,.0f}"
