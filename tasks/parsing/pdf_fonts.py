"""Whether this machine has a font for Korean, which PDFium needs where a PDF brings none.

It measures letters by their glyphs: a lone one that no font has is as if it was not there.
"""

from __future__ import annotations

LETTER = "가"
ADVICE = "PDFs that bring no Korean font lose single letters: run scripts/install-debian.sh, or install one."

_OBJECTS = (
    "<</Type/Catalog/Pages 2 0 R>>",
    "<</Type/Pages/Kids[3 0 R]/Count 1>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</Font<</K 5 0 R>>>>/Contents 4 0 R>>",
    f"<</Length 38>>stream\nBT /K 9 Tf 9 9 Td <{ord(LETTER):04x}> Tj ET       \nendstream",
    "<</Type/Font/Subtype/Type0/BaseFont/HYSMyeongJo-Medium/Encoding/UniKS-UCS2-H/DescendantFonts[6 0 R]>>",
    "<</Type/Font/Subtype/CIDFontType0/BaseFont/HYSMyeongJo-Medium/DW 1000/FontDescriptor 7 0 R"
    "/CIDSystemInfo<</Registry(Adobe)/Ordering(Korea1)/Supplement 2>>>>",
    "<</Type/FontDescriptor/FontName/HYSMyeongJo-Medium/Flags 4/FontBBox[0 -200 1000 900]/Ascent 800"
    "/Descent -200/CapHeight 700/ItalicAngle 0/StemV 60>>",
)


def has_korean_font() -> bool:
    """Whether a letter of a PDF without fonts of its own is found."""
    import pypdfium2

    body = "\n".join(f"{number} 0 obj\n{each}\nendobj" for number, each in enumerate(_OBJECTS, 1))
    # without a table of offsets: PDFium makes its own
    with pypdfium2.PdfDocument(f"%PDF-1.7\n{body}\ntrailer<</Root 1 0 R>>\n%%EOF".encode()) as document:
        return LETTER in document[0].get_textpage().get_text_bounded()
