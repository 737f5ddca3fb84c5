# SPDX-License-Identifier: Apache-2.0
"""Windows by the calendar, as Python's zoneinfo knows zones: a table for the C library to meet.

usage: windows.py ZONEINFO_DIRECTORY SEED ZONES MOMENTS

Each line: zone, period, begins_on, a moment, and when the window that it lies in begins and ends.
ZONES is how many zones are taken, 0 all; MOMENTS how many of each besides those around changes.
"""
import calendar
import datetime
import os
import random
import sys
import zoneinfo

DAY = datetime.timedelta(days=1)
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = 1577836800, 2145916800  # 2020-01-01 to 2038-01-01


def seconds(moment):
    return (moment - EPOCH) // datetime.timedelta(seconds=1)


def local(zone, at):
    return datetime.datetime.fromtimestamp(at, zone)


def offset(zone, at):
    return local(zone, at).utcoffset()


def midnight(zone, date):
    """The first moment that shows the date's midnight, or the jump over it."""
    shown = datetime.datetime(date.year, date.month, date.day, tzinfo=zone)
    at = seconds(shown)
    if local(zone, at).replace(tzinfo=None) == shown.replace(tzinfo=None):
        return at
    low, high = at - 90000, at + 90000
    before = offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
    return high


def begins(period, on, date):
    if period == 2:
        return True
    if period == 3:
        return date.isoweekday() == on
    if period == 4:
        return date.day == min(on, calendar.monthrange(date.year, date.month)[1])
    if period == 5:
        return date.day == 1 and date.month in (1, 4, 7, 10)
    return date.day == 1 and date.month == 1


def day_window(zone, period, on, at):
    """Walks day by day, away from the moment."""
    date = local(zone, at).date() + DAY
    while not begins(period, on, date) or midnight(zone, date) > at:
        date -= DAY
    start = midnight(zone, date)
    date += DAY
    while not begins(period, on, date):
        date += DAY
    return start, midnight(zone, date)


def hour_window(zone, at):
    """Walks second by second, in leaps where nothing changes."""
    def begins_here(second):
        shown = local(zone, second)
        if shown.minute == 0 and shown.second == 0:
            return True
        return offset(zone, second - 1) != shown.utcoffset()

    def quiet(first, last):
        return offset(zone, first) == offset(zone, last)

    start = at
    while not begins_here(start):
        shown = local(zone, start)
        leap = shown.minute * 60 + shown.second
        start -= leap if quiet(start - leap, start) else 1
    end = at + 1
    while not begins_here(end):
        shown = local(zone, end)
        leap = 3600 - shown.minute * 60 - shown.second
        end += leap if quiet(end, end + leap) and quiet(end, end + leap // 2) else 1
    return start, end


def changes(zone):
    """The moments near which the zone's offset changes, looked for every 12 hours."""
    found, before = [], offset(zone, FIRST)
    for at in range(FIRST, LAST, 43200):
        now = offset(zone, at)
        if now != before:
            low, high = at - 43200, at
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
            found.append(high)
        before = now
    return found


def main():
    directory, dice = sys.argv[1], random.Random(int(sys.argv[2]))
    count, moments = int(sys.argv[3]), int(sys.argv[4])
    zoneinfo.reset_tzpath(to=[directory])
    names = sorted(name for name in zoneinfo.available_timezones()
                   if os.path.exists(os.path.join(directory, name)))
    if count:
        odd = ["Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "America/Asuncion",
               "Asia/Kathmandu", "Europe/Berlin", "America/New_York", "Asia/Gaza", "Africa/Cairo",
               "America/Nuuk", "Asia/Beirut", "Pacific/Chatham"]
        names = [name for name in odd if name in names] + dice.sample(names, count)
    for name in names:
        zone = zoneinfo.ZoneInfo(name)
        near = changes(zone)
        ats = [at + dice.choice([-86400, -3601, -1800, -1, 0, 1, 1800, 3599, 7200, 80000])
               for at in dice.sample(near, min(len(near), moments // 4 + 1))]
        ats += [dice.randrange(FIRST, LAST) for _ in range(moments)]
        ats += [start + dice.choice([-1, 0]) for at in ats[:moments // 4]
                for start in day_window(zone, 2, 0, at)]
        for at in ats:
            for period, on in ((1, 0), (2, 0), (3, dice.randint(1, 7)), (4, dice.randint(1, 31)),
                               (5, 0), (6, 0)):
                if period > 4 and dice.random() > 0.2:
                    continue
                start, end = (hour_window(zone, at) if period == 1 else
                              day_window(zone, period, on, at))
                print(name, period, on, at, start, end)


main()
