"""A sheet of A4 as SVG: lines, boxes, texts and the symbols of circuit diagrams (IEC 60617).

One unit is a quarter of a millimetre. Lines are black on white and differ by their kind, so that a
print without colour says the same.
"""

from html import escape

PER_MM = 4
Point = tuple[float, float]

_STYLE = """
svg { background: #fff }
text { font-family: Arial, "Liberation Sans", Helvetica, "DejaVu Sans", sans-serif; fill: #000 }
.w, .p { fill: none; stroke: #000; stroke-width: 1.5; stroke-linejoin: round }
.p rect { fill: #fff }
.s { fill: #000 }
.thick { stroke-width: 4 }
.hair { stroke-width: 0.6; stroke: #777 }
.dash { stroke-dasharray: 7 4 }
.link { stroke-dasharray: 3 3; stroke-width: 1.2 }
.box { fill: #fff; stroke: #000; stroke-width: 1.8 }
.area { fill: none; stroke: #000; stroke-width: 1.2 }
.warn { fill: none; stroke: #000; stroke-width: 4 }
"""

# Each from -20 to 20 along x, turned where it is used.
_SYMBOLS = {
    "resistor": '<path d="M-20 0H-12M12 0H20"/><rect x="-12" y="-5" width="24" height="10"/>',
    "fuse": '<rect x="-12" y="-5" width="24" height="10"/><path d="M-20 0H20"/>',
    "capacitor": '<path d="M-20 0H-3M3 0H20M-3 -10V10M3 -10V10"/>',
    "diode": '<path d="M-20 0H20M7 -8V8"/><path class="s" d="M-7 -8L7 0L-7 8Z"/>',
    "led": '<path d="M-20 0H20M7 -8V8M-2 -12L4 -20M4 -20L0 -18M4 -20L3.500 -15.500M6 -12L12 -20'
    'M12 -20L8 -18M12 -20L11.500 -15.500"/><path class="s" d="M-7 -8L7 0L-7 8Z"/>',
    "make contact": '<path d="M-20 0H-10L9 -11M10 0H20"/>',
    "break contact": '<path d="M-20 0H-10L13 9M10 10V0H20"/>',
    "coil": '<path d="M-20 0H-9M9 0H20"/><rect x="-9" y="-16" width="18" height="32"/>',
    # Gate at -24, drain at the top, source at the bottom.
    "mosfet": '<path d="M-24 0H-8M-8 -10V10M-3 -13V-6M-3 -3.500V3.500M-3 6V13'
    'M-3 -9.500H8V-24M-3 9.500H8V24M-3 0H8V9.500"/><path class="s" d="M-3 0L3 -3V3Z"/>',
    "ground": '<path d="M0 0V6M-9 6H9M-6 10H6M-3 14H3"/>',
    "supply": '<path d="M0 0V-9M-5 -3L0 -9L5 -3"/>',
}


class Sheet:
    def __init__(self, width_mm: int, height_mm: int, title: str, description: str):
        self.width, self.height = width_mm * PER_MM, height_mm * PER_MM
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_mm}mm" height="{height_mm}mm" '
            f'viewBox="0 0 {self.width} {self.height}" role="img">\n'
            f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n"
            f"<style>{_STYLE}</style>\n"
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>'
        )
        self._body: list[str] = []

    def svg(self) -> str:
        return "\n".join([self._head, *self._body, "</svg>"]) + "\n"

    def add(self, markup: str) -> None:
        self._body.append(markup)

    def wire(self, *points: Point, kind: str = "") -> None:
        """A line along the points."""
        way = "L".join(f"{x:g} {y:g}" for x, y in points)
        self.add(f'<path class="{f"w {kind}".strip()}" d="M{way}"/>')

    def dot(self, *points: Point) -> None:
        """Where lines are joined."""
        for x, y in points:
            self.add(f'<circle class="s" cx="{x:g}" cy="{y:g}" r="3"/>')

    def part(self, symbol: str, x: float, y: float, turn: int = 0, mirror: bool = False) -> None:
        """A symbol with its middle at x, y; `turn` degrees clockwise."""
        place = f"translate({x:g} {y:g})"
        place += f" rotate({turn})" if turn else ""
        place += " scale(-1 1)" if mirror else ""
        self.add(f'<g class="p" transform="{place}">{_SYMBOLS[symbol]}</g>')

    def ground(self, x: float, y: float) -> None:
        self.part("ground", x, y)

    def supply(self, x: float, y: float, volts: str) -> None:
        self.part("supply", x, y)
        self.text(x, y - 13, volts, anchor="middle", bold=True)

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box") -> None:
        self.add(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 12,
        anchor: str = "start",
        bold: bool = False,
        fill: str = "",
    ) -> None:
        """Lines of text, `\\n` between them; x, y is where the first stands."""
        look = f' text-anchor="{anchor}"' if anchor != "start" else ""
        look += ' font-weight="bold"' if bold else ""
        look += f' style="fill:{fill}"' if fill else ""
        for number, line in enumerate(text.split("\n")):
            place = f'x="{x:g}" y="{y + number * size * 1.22:g}" font-size="{size:g}"'
            self.add(f"<text {place}{look}>{escape(line, False)}</text>")
