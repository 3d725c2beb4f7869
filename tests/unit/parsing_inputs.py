"""Small real files, written by hand so that each byte of a test's input is known."""

from __future__ import annotations

import io
import zipfile

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"

Text = tuple[float, float, float, str]
"""Left, baseline, type size, text; places in points from the lower left corner."""


def pdf(*pages: list[Text], title: str = "", created: str = "") -> bytes:
    """A PDF with one text object per line; anything beyond ASCII is set in a Korean font."""
    objects: list[bytes] = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"",
        b"<</Type/Font/Subtype/Type1/BaseFont/Courier>>",
        b"<</Type/Font/Subtype/Type0/BaseFont/HYSMyeongJo-Medium/Encoding/UniKS-UCS2-H"
        b"/DescendantFonts[5 0 R]>>",
        b"<</Type/Font/Subtype/CIDFontType0/BaseFont/HYSMyeongJo-Medium/CIDSystemInfo"
        b"<</Registry(Adobe)/Ordering(Korea1)/Supplement 2>>/DW 1000/FontDescriptor 6 0 R>>",
        b"<</Type/FontDescriptor/FontName/HYSMyeongJo-Medium/Flags 4/FontBBox[0 -200 1000 900]"
        b"/Ascent 800/Descent -200/CapHeight 700/ItalicAngle 0/StemV 60>>",
        b"<</Title(" + title.encode() + b")/CreationDate(" + created.encode() + b")>>",
    ]
    kids = []
    for page in pages:
        content = "\n".join(_show(*line) for line in page).encode()
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</L 3 0 R/K 4 0 R>>>>"
            b"/Contents %d 0 R>>" % (len(objects) + 2)
        )
        kids.append(b"%d 0 R" % len(objects))
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
    objects[1] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(pages))
    return _assemble(objects)


def _show(left: float, baseline: float, size: float, text: str) -> str:
    if text.isascii():
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        return f"BT /L {size} Tf {left} {baseline} Td ({escaped}) Tj ET"
    return f"BT /K {size} Tf {left} {baseline} Td <{text.encode('utf-16-be').hex()}> Tj ET"


def _assemble(objects: list[bytes]) -> bytes:
    data, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    xref = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return data + (
        b"trailer<</Size %d/Root 1 0 R/Info 7 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, xref)
    )


def lines(*texts: str, left: float = 60, top: float = 760, size: float = 10, pitch: float = 14) -> list[Text]:
    """Lines of one column, one under the other."""
    return [(left, top - i * pitch, size, text) for i, text in enumerate(texts)]


def docx(body: str, *, styles: str = "", core: str = "") -> bytes:
    """A DOCX package around the XML of a body."""
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName='
        '"/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>'
    )
    parts = {
        "[Content_Types].xml": types,
        "word/document.xml": f'<w:document xmlns:w="{W}" xmlns:mc="{MC}"><w:body>{body}</w:body>'
        "</w:document>",
        "word/styles.xml": f'<w:styles xmlns:w="{W}">{styles}</w:styles>',
    }
    if core:
        parts["docProps/core.xml"] = (
            '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
            'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" '
            f'xmlns:dcterms="http://purl.org/dc/terms/">{core}</cp:coreProperties>'
        )
    return package(parts)


def package(parts: dict[str, str]) -> bytes:
    """A zip archive of the parts, in order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def paragraph(text: str, style: str = "", properties: str = "") -> str:
    """XML of a paragraph."""
    name = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{name}{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"
