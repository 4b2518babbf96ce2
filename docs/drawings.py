"""Draw docs/pipeline.svg, the stages of dvc.yaml, and docs/packages.svg, the packages of stages/lib: make docs."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

import yaml

Graph = Mapping[str, set[str]]  # for each node, the nodes that it needs

WIDTH, HEIGHT = 136, 34  # of a box, in pixels
COLUMN, ROW = 180, 50
MARGIN = 8
STYLE = """
text { font: 14px ui-sans-serif, system-ui, sans-serif; text-anchor: middle; fill: #1f2328; }
rect { fill: #eef4fb; stroke: #4a78a8; }
path { fill: none; stroke: #6e7781; stroke-width: 1.3; marker-end: url(#arrow); }
marker path { fill: #6e7781; stroke: none; marker-end: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  rect { fill: #1b2b3c; }
}
"""


def drawings(folder: Path = Path()) -> dict[str, str]:
    """The SVG of each drawing by its path, for the project in `folder`."""
    pipeline = stages((folder / "dvc.yaml").read_text(encoding="utf-8"))
    imports = packages((folder / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    return {
        "docs/pipeline.svg": draw(pipeline, "The stages, each with arrows from those whose output it reads"),
        "docs/packages.svg": draw(imports, "The packages, each with arrows from those that it imports"),
    }


def stages(dvc_yaml: str) -> Graph:
    """For each stage, the stages of which it reads an output."""
    written: dict[str, str] = {}
    needs: dict[str, set[str]] = {}
    document = yaml.safe_load(dvc_yaml)["stages"]
    source = next(iter(document["simulate"]["outs"]))  # the default of prepare.source
    for name, stage in document.items():
        outs = [*stage.get("outs", []), *stage.get("plots", [])]
        written |= {path: name for out in outs for path in (out if isinstance(out, dict) else [out])}
        deps = [source if dep == "${prepare.source}" else dep for dep in stage["deps"]]
        needs[name] = {stage for path, stage in written.items() for dep in deps if path == dep or dep in _parents(path)}
    return needs


def _parents(path: str) -> set[str]:
    return {parent.as_posix() for parent in Path(path).parents}


def packages(contributing: str) -> Graph:
    """For each package, those that it imports, from the table in CONTRIBUTING.md."""
    rows = re.findall(r"^\| `(\w+(?:\.py)?)/?` \|.*\|(.*)\|$", contributing, re.M)
    names = {name.removesuffix(".py"): name for name, _ in rows}
    return {name: {names[imported] for imported in re.findall(r"\w+", cell)} for name, cell in rows}


def draw(graph: Graph, title: str) -> str:
    """An SVG of an acyclic graph, from left to right, without the arrows that follow from others."""
    places = arrange(graph)
    arrows = [_arrow(places[need], places[name]) for name, needs in graph.items() for need in direct(graph, needs)]
    boxes = [
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{x + WIDTH / 2:g}" y="{y + HEIGHT / 2 + 5:g}">{escape(name)}</text>'
        for name, (x, y) in places.items()
    ]
    width, height = (max(place[axis] for place in places.values()) for axis in (0, 1))
    size = (width + WIDTH + MARGIN, height + HEIGHT + MARGIN)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
            f'width="{size[0]}" height="{size[1]}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z"/></marker>',
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def direct(graph: Graph, needs: set[str]) -> list[str]:
    """The needs that none of the others has, directly or indirectly."""
    return sorted(need for need in needs if not any(need in closure(graph, other) for other in needs - {need}))


def closure(graph: Graph, name: str) -> set[str]:
    """The nodes that a node needs, directly or indirectly."""
    return graph[name].union(*(closure(graph, need) for need in graph[name]))


def arrange(graph: Graph) -> dict[str, tuple[int, int]]:
    """The upper left corner of each box: in the column after its last need, at the height of its needs if it can be."""
    columns: dict[int, list[str]] = {}
    column: dict[str, int] = {}
    for name in sorted(graph, key=lambda name: len(closure(graph, name))):
        column[name] = 1 + max((column[need] for need in graph[name]), default=-1)
        columns.setdefault(column[name], []).append(name)
    tallest = max(len(names) for names in columns.values())
    rows: dict[str, float] = {}
    for names in columns.values():
        names.sort(key=list(graph).index)
        wanted = {name: _mean([rows[need] for need in direct(graph, graph[name])], (tallest - 1) / 2) for name in names}
        names.sort(key=lambda name: wanted[name])
        top = _mean(list(wanted.values()), 0) - (len(names) - 1) / 2
        top = min(max(top, 0), tallest - len(names))
        rows |= {name: top + number for number, name in enumerate(names)}
    return {name: (MARGIN + column[name] * COLUMN, MARGIN + round(rows[name] * ROW)) for name in graph}


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0] - 2, end[1] + HEIGHT // 2
    bend = (COLUMN - WIDTH) * 0.7
    return f'<path d="M{x1},{y1} C{x1 + bend:g},{y1} {x2 - bend:g},{y2} {x2},{y2}"/>'


if __name__ == "__main__":
    for path, svg in drawings().items():
        Path(path).write_text(svg, encoding="utf-8")
