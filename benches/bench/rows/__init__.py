"""The rows, in the order of the table. Each measures and gives back its lines."""

from . import crash, idle, logs, orphans, probes, restart, size, thousand, up

ROWS = {
    "up": up.measure,
    "idle": idle.measure,
    "restart": restart.measure,
    "orphans": orphans.measure,
    "logs": logs.measure,
    "thousand": thousand.measure,
    "probes": probes.measure,
    "crash": crash.measure,
    "size": size.measure,
}
