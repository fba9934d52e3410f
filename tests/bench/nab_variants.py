#!/usr/bin/python3
"""nab_variants.py - changed copies of a NAB folder, to see what a score owes to luck

    nab_variants.py NAB_DIR OUT

Writes OUT/VARIANT/data and OUT/VARIANT/labels for each variant below: the same series
and windows, mirrored, rescaled, noisy, thinned, cut, bent or reversed.  A detector that
was fitted to the plain copy falls on these; scores of one and the same detector on them
show how far a figure moves by chance.  The noise is the same in every run.
"""
import csv
import json
import math
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

FORMAT = "%Y-%m-%d %H:%M:%S"


def read(folder):
    """{name: (times, values, windows as pairs of row numbers)}"""
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
    series = {}
    for name, windows in sorted(labels.items()):
        rows = list(csv.reader((folder / "data" / name).open(newline="")))[1:]
        times = [datetime.strptime(row[0][:19], FORMAT) for row in rows]
        first = {}
        for number, time in enumerate(times):
            first.setdefault(time, number)
        pairs = [tuple(first[datetime.strptime(end[:19], FORMAT)] for end in window) for window in windows]
        series[name] = times, [float(row[1]) for row in rows], pairs
    return series


def write(folder, series):
    for name, (times, values, pairs) in series.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as out:
            out.write("timestamp,value\n")
            out.writelines(f"{time.strftime(FORMAT)},{value!r}\n" for time, value in zip(times, values))
    windows = {name: [[times[a].strftime(FORMAT), times[b].strftime(FORMAT)] for a, b in pairs]
               for name, (times, _, pairs) in series.items()}
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(windows, indent=1, sort_keys=True))


def deviation(values):
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


# --- changes of the values alone: f(values, name) -> values -----------------------------------

def mirror(values, name):
    return [max(values) + min(values) - value for value in values] if values else values


def rescale(values, name):
    return [value * 731.3 + 5000 for value in values]


def noise(share, seed):
    def change(values, name):
        dice, size = random.Random(f"{seed} {name}"), share * deviation(values)
        return [value + dice.gauss(0, 1) * size for value in values]
    return change


def bend(power):
    def change(values, name):
        low, width = min(values), max(values) - min(values) or 1
        return [low + width * ((value - low) / width) ** power for value in values]
    return change


def tilt(values, name):
    return [value + deviation_half * number / len(values) for deviation_half in [deviation(values) / 2]
            for number, value in enumerate(values)]


# --- changes of the rows: f(times, values, windows) -> the same ----------------------------------

def thin(phase):
    """Every second row."""
    def change(times, values, pairs):
        last = len(values[phase::2]) - 1
        return times[phase::2], values[phase::2], [(max(0, (a - phase + 1) // 2), min(last, (b - phase) // 2))
                                                   for a, b in pairs]
    return change


def merge(times, values, pairs):
    """Two rows as their mean."""
    half = len(values) // 2
    return (times[:2 * half:2], [(values[2 * i] + values[2 * i + 1]) / 2 for i in range(half)],
            [(a // 2, min(half - 1, b // 2)) for a, b in pairs])


def behead(share):
    """Without the first rows, but never without half of those before the first window."""
    def change(times, values, pairs):
        cut = min(int(share * len(values)), (pairs[0][0] if pairs else len(values)) // 2)
        return times[cut:], values[cut:], [(a - cut, b - cut) for a, b in pairs]
    return change


def stretch(times, values, pairs):
    """A row between each second pair of rows."""
    longer_times, longer_values = [], []
    for i, (time, value) in enumerate(zip(times, values)):
        longer_times.append(time)
        longer_values.append(value)
        if i % 2 == 0 and i + 1 < len(values):
            longer_times.append(time + (times[i + 1] - time) // 2)
            longer_values.append((value + values[i + 1]) / 2)
    return longer_times, longer_values, [(a + (a + 1) // 2, b + (b + 1) // 2) for a, b in pairs]


def splice(times, values, pairs):
    """A second helping of the first half of what comes before the first window, in whole days."""
    head = (pairs[0][0] if pairs else len(values)) // 2
    steps = sorted(b - a for a, b in zip(times, times[1:]))
    day = round(timedelta(days=1) / max(steps[len(steps) // 2], timedelta(seconds=1)))
    head = head // day * day if day <= head else head
    shift = times[head] - times[0]
    return ([time - shift for time in times[:head]] + times, values[:head] + values,
            [(a + head, b + head) for a, b in pairs])


def reverse(times, values, pairs):
    """Backwards: another set of series altogether; windows then end where the trouble began."""
    last = len(values) - 1
    return ([times[0] + (times[-1] - time) for time in reversed(times)], values[::-1],
            [(last - b, last - a) for a, b in reversed(pairs)])


VALUES = {"plain": lambda values, name: values, "mirror": mirror, "rescale": rescale,
          "noise-2": noise(0.02, 1), "noise-5": noise(0.05, 2), "noise-10": noise(0.10, 3),
          "bend-in": bend(0.6), "bend-out": bend(1.6), "tilt": tilt}
ROWS = {"thin-0": thin(0), "thin-1": thin(1), "merge": merge, "behead-5": behead(0.05),
        "behead-10": behead(0.10), "stretch": stretch, "splice": splice, "reverse": reverse}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    series, out = read(Path(sys.argv[1])), Path(sys.argv[2])
    for variant, change in VALUES.items():
        write(out / variant, {name: (times, change(values, name), pairs)
                              for name, (times, values, pairs) in series.items()})
    for variant, change in ROWS.items():
        write(out / variant, {name: change(*entry) for name, entry in series.items()})


if __name__ == "__main__":
    main()
