# SPDX-License-Identifier: Apache-2.0
"""Draws panels of lines over numbers of workers, or of whatever, on logarithmic scales, as SVG."""
import math
from html import escape

WIDTH, HEIGHT = 620, 330          # of a panel
LEFT, RIGHT, TOP, BOTTOM = 66, 210, 44, 46
FONT = "font-family='system-ui, sans-serif'"


def short(value):
    """1200 is "1.2k"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def text(x, y, words, size=12, anchor="start", weight="normal", colour="#222"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' "
            f"font-weight='{weight}' fill='{colour}'>{escape(words)}</text>")


def line(x1, y1, x2, y2, colour="#ddd", width=1.0):
    return (f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
            f"stroke='{colour}' stroke-width='{width}'/>")


def panel(title, unit, axis, xs, series, left, top):
    """`series` is a list of (label, colour, {x: y}); the first is drawn so that it stands out."""
    values = [y for _, _, points in series for y in points.values() if y > 0]
    if not values:
        return []
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    x0, x1 = left + LEFT, left + WIDTH - RIGHT
    y0, y1 = top + HEIGHT - BOTTOM, top + TOP

    def x_of(x):
        return x0 + (x1 - x0) * (xs.index(x) / max(1, len(xs) - 1))

    def y_of(y):
        return y0 - (y0 - y1) * (math.log10(y) - low) / (high - low)

    parts = [text(left + 14, top + 22, title, 15, weight="600")]
    for power in range(low, high + 1):
        parts.append(line(x0, y_of(10 ** power), x1, y_of(10 ** power), "#ccc"))
        parts.append(
            text(x0 - 8, y_of(10 ** power) + 4, short(10 ** power), anchor="end", colour="#555"))
        for step in range(2, 10) if power < high else ():
            parts.append(
                line(x0, y_of(step * 10 ** power), x1, y_of(step * 10 ** power), "#f0f0f0"))
    for x in xs:
        parts.append(text(x_of(x), y0 + 18, short(x), anchor="middle", colour="#555"))
    parts.append(text((x0 + x1) / 2, y0 + 36, axis, anchor="middle", colour="#555"))
    parts.append(text(x0 - 8, y1 - 8, unit, anchor="end", colour="#555"))
    last = []
    for i, (label, colour, points) in enumerate(series):
        places = [(x_of(x), y_of(points[x])) for x in xs if points.get(x, 0) > 0]
        if not places:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' "
                     f"stroke-width='{3 if i == 0 else 1.8}'/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{4 if i == 0 else 3}' fill='{colour}'/>"
                  for x, y in places]
        last.append([places[-1][1], places[-1], label, colour, i == 0])
    # Each label stands beside the end of its line, moved down where it would cover the one above.
    last.sort(key=lambda entry: entry[0])
    below = y1 - 8
    for entry in last:
        entry[0] = below = max(entry[0], below + 16)
    if last and below > y0 + 8:
        for entry in last:
            entry[0] -= below - (y0 + 8)
    for y, (end_x, end_y), label, colour, first in last:
        parts.append(line(end_x + 5, end_y, end_x + 16, y, colour, 0.8))
        parts.append(
            text(end_x + 20, y + 4, label, 12, weight="600" if first else "normal", colour=colour))
    return parts


def draw(path, heading, panels):
    """`panels` is a list of (title, unit, axis, xs, series); they are laid out two in a row."""
    rows = (len(panels) + 1) // 2
    width, height = 2 * WIDTH, rows * HEIGHT + 40
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
             f"width='{width}' height='{height}' {FONT}>",
             f"<rect width='{width}' height='{height}' fill='#fff'/>",
             text(14, 26, heading, 13, colour="#555")]
    for i, one in enumerate(panels):
        parts += panel(*one, (i % 2) * WIDTH, (i // 2) * HEIGHT + 36)
    parts.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(parts) + "\n")
