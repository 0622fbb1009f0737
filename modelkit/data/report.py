"""The report of `data clean`: one HTML file with pictures of what was found."""

import base64
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO

from PIL import Image

from modelkit.data.features import Features
from modelkit.data.findings import MEANINGS, Finding, Inspection, Kind
from modelkit.data.pictures import thumbnail

SHOWN = 60
"""Findings of one kind that have pictures; all of them count."""
IMAGES_SHOWN = 8
"""Of one finding."""
_SIDE_PX = 72
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#18181b}
table{border-collapse:collapse}td,th{padding:.2rem 1rem .2rem 0;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.grid{display:flex;flex-wrap:wrap;gap:.75rem}.card{border:1px solid #e4e4e7;border-radius:.5rem;padding:.6rem}
figure{display:inline-block;margin:0 .4rem 0 0;text-align:center;font-size:12px;max-width:9rem;vertical-align:top}
img{width:72px;height:72px;image-rendering:pixelated;border-radius:.25rem;background:#f4f4f5}
.drop img{outline:2px solid #dc2626}p.note{margin:.2rem 0 0;font-size:12px;color:#52525b;max-width:20rem}
"""


def shown(findings: Iterable[Finding]) -> dict[Kind, list[Finding]]:
    """Chooses the findings that get pictures: the first of each kind."""
    chosen: dict[Kind, list[Finding]] = {kind: [] for kind in Kind}
    for finding in findings:
        if len(chosen[finding.kind]) < SHOWN:
            chosen[finding.kind].append(finding)
    return chosen


def render(title: str, found: Inspection, labels: tuple[str, ...], images: Mapping[int, bytes]) -> str:
    """Renders the report.

    Args:
        title: data set and version.
        found: in all images.
        labels: names.
        images: encoded bytes of the images that are shown, by position.
    """
    features, doubt = found.features, found.doubt()
    counts = {kind: [each for each in found.findings if each.kind is kind] for kind in Kind}
    table = "".join(
        f'<tr><td><a href="#{kind}">{kind}</a><td class="n">{len(those):,}<td class="n">'
        f"{len({at for each in those for at in each.drops}):,}<td>{MEANINGS[kind]}"
        for kind, those in counts.items()
    )
    sections = "".join(
        f'<h2 id="{kind}">{kind} ({len(counts[kind]):,})</h2><div class="grid">'
        + "".join(_card(each, features, labels, images) for each in chosen)
        + "</div>"
        for kind, chosen in shown(found.findings).items()
        if chosen
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{len(features.rows):,} images. A red frame marks what <code>--drop</code> drops; "
        f"the first {SHOWN} findings of each kind have pictures.{f' {doubt.capitalize()}.' if doubt else ''}</p>"
        f"<table><tr><th>kind<th>findings<th>would drop<th>meaning{table}</table>{sections}</html>\n"
    )


def _card(finding: Finding, features: Features, labels: tuple[str, ...], images: Mapping[int, bytes]) -> str:
    figures = "".join(
        f'<figure class="{"drop" if at in finding.drops else ""}"><img alt="" src="{_data(images.get(at, b""))}">'
        f"<figcaption>{escape(labels[row.label] if row.label >= 0 else 'no label')}<br>{row.split}<br>"
        f"{escape(row.source[-60:])}</figcaption></figure>"
        for at in finding.images[:IMAGES_SHOWN]
        for row in (features.rows[at],)
    )
    return f'<div class="card">{figures}<p class="note">{escape(finding.note)}</p></div>'


def _data(image: bytes) -> str:
    pixels = thumbnail(image, _SIDE_PX)
    if pixels is None:
        return ""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
