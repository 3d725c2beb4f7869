"""Values of a PDF form's fields: PDFium's text of a page does not have them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.parsing.pdf_lines import Line, Page

if TYPE_CHECKING:
    import pypdfium2

MAX_FIELDS = 2000
MAX_VALUE_BYTES = 100_000

_TYPE_SIZE = 10.0
"""Of a value without a label, in points: a tall box must not make it a heading."""


def with_fields(page: pypdfium2.PdfPage, read: Page) -> Page:
    """The page with each field's value behind its label: the line left of it, else below all."""
    lines = list(read.lines)
    for value in _values(page, read.number):
        labels = [i for i, line in enumerate(lines) if _is_label(line, value)]
        if not labels:
            lines.append(value)
            continue
        nearest = max(labels, key=lambda i: lines[i].right)
        label = lines[nearest]
        text = f"{label.text.rstrip()} {value.text}"
        lines[nearest] = replace(label, text=text, right=max(label.right, value.right))
    return replace(read, lines=tuple(lines))


def _is_label(line: Line, value: Line) -> bool:
    """Whether the line stands left of the field, on its height."""
    middle = (line.bottom + line.top) / 2
    return value.bottom <= middle <= value.top and line.right <= value.left + 2


def _values(page: pypdfium2.PdfPage, number: int) -> Iterator[Line]:
    from pypdfium2 import raw

    form = page.formenv
    count = raw.FPDFPage_GetAnnotCount(page.raw) if form else 0
    for index in range(min(count, MAX_FIELDS)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            text = _value(form.raw, annotation)
            box = raw.FS_RECTF()
            if text and raw.FPDFAnnot_GetRect(annotation, ctypes.byref(box)):
                bottom, top = sorted((box.bottom, box.top))
                yield Line(text, number, box.left, box.right, bottom, top, min(_TYPE_SIZE, top - bottom))
        finally:
            raw.FPDFPage_CloseAnnot(annotation)


def _value(form: object, annotation: object) -> str:
    """The value of a field with text, in one line; "" for buttons and passwords' fields."""
    from pypdfium2 import raw

    kinds = (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX)
    if raw.FPDFAnnot_GetFormFieldType(form, annotation) not in kinds:
        return ""
    if raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & raw.FPDF_FORMFLAG_TEXT_PASSWORD:
        return ""
    size = min(raw.FPDFAnnot_GetFormFieldValue(form, annotation, None, 0), MAX_VALUE_BYTES)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    written = raw.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size)
    return " ".join(bytes(buffer)[: min(written, size)].decode("utf-16-le", "replace").strip("\0").split())
