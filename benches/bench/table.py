"""The Markdown table and the JSON file."""

import json
from pathlib import Path

from .harness import Metric

COLUMNS = ["podinit", "s6", "runit", "supervisord", "tini", "dumb-init"]


def markdown(metrics: list[Metric]) -> str:
    """One line a metric, one column a candidate."""
    heads = ["", *COLUMNS, "target", ""]
    lines = [heads, ["---", *["---:"] * len(COLUMNS), "---", "---"], *map(_line, metrics)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + _others(metrics)


def _others(metrics: list[Metric]) -> str:
    """What was measured beside podinit and its peers: the bare machine."""
    return "".join(
        f"\n\n{metric.title}: {name} in the supervisor's place {number(value, metric.unit)} {metric.unit}"
        for metric in metrics
        for name, value in metric.numbers().items()
        if name not in COLUMNS
    )


def _line(metric: Metric) -> list[str]:
    numbers = metric.numbers()
    said = metric.remarks | {name: number(value, metric.unit) for name, value in numbers.items()}
    cells = [said.get(name, "") for name in COLUMNS]
    title = f"{metric.title} ({metric.unit})" if metric.unit else metric.title
    verdict = {True: "met", False: "**missed**", None: ""}[metric.met()]
    return [title, *cells, ", ".join(target for target, _ in metric.targets), verdict]


def number(value: float, unit: str) -> str:
    """Two or three digits that mean something; counts have no unit."""
    if not unit or value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def write_json(path: Path, about: dict, metrics: list[Metric], failures: list[str]) -> None:
    """Everything that was measured, sample by sample."""
    rows = [
        {
            "row": metric.row,
            "title": metric.title,
            "unit": metric.unit,
            "numbers": metric.numbers(),
            "samples": metric.samples,
            "remarks": metric.remarks,
            "targets": [said for said, _ in metric.targets],
            "met": metric.met(),
        }
        for metric in metrics
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about | {"rows": rows, "failures": failures}, indent=1) + "\n")
