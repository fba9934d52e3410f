#!/usr/bin/python3
"""benign_traffic.py - request counts of keys that do nothing wrong

    benign_traffic.py KIND SEED DAYS WIDTH_SECONDS

Prints "timestamp,value" lines: independent requests (Poisson) at a rate that follows the
kind's rhythm, the same for the same seed.  Kinds: steady, rare, office (weekdays by day),
shop (every day, busier at weekends), cron (a burst each hour), growing (1 % a day).
"""
import math
import random
import sys
from datetime import datetime, timedelta

BEGIN = datetime(2025, 9, 1)  # a Monday


def wave(hour, peak, width):
    return math.exp(-((hour - peak) / width) ** 2)


# requests a minute at a time
RATES = {
    "steady": lambda time, day: 40,
    "rare": lambda time, day: 0.05,
    "office": lambda time, day: 60 * wave(time.hour + time.minute / 60, 13, 4) * (time.weekday() < 5) + 0.2,
    "shop": lambda time, day: 10 + 50 * wave(time.hour + time.minute / 60, 19, 5) * (1.4 if time.weekday() > 4 else 1),
    "cron": lambda time, day: 300 if time.minute < 5 else 0,
    "growing": lambda time, day: 20 * 1.01 ** day,
}


def poisson(dice, mean):
    if mean > 50:
        return max(0, round(dice.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, dice.random()
    while product > limit:
        count += 1
        product *= dice.random()
    return count


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in RATES:
        sys.exit(__doc__)
    kind, seed, days, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dice, rate = random.Random(f"{kind} {seed}"), RATES[kind]
    for number in range(days * 86400 // width):
        time = BEGIN + timedelta(seconds=number * width)
        print(f"{time},{poisson(dice, rate(time, number * width / 86400) * width / 60)}")


if __name__ == "__main__":
    main()
