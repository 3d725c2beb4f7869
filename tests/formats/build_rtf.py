r"""Write the report as RTF, and what is odd in RTF: `python -m tests.formats.build_rtf`.

Korean goes out as pairs of \'xx in code page 949, as Word and Hangul write it; the English
report uses \u where ASCII ends. Source: RTF specification 1.9.1.
"""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

from tests.formats.source import KO, REPORTS, Report

FIXTURES = Path(__file__).parent / "fixtures"
_FONTS = (
    r"{\fonttbl{\f0\fcharset0 Times New Roman;}{\f1\fcharset129 \'b9\'d9\'c5\'c1;}{\f2\fcharset2 Symbol;}}"
)
_STYLES = (
    r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2\outlinelevel1 heading 2;}"
    r"{\s3 HEADING;}{\*\cs10 Default Paragraph Font;}}"
)
_NOISE = (
    r"{\*\generator Some Writer 1.0;}{\colortbl;\red0\green0\blue0;}"
    r"{\*\listtable{\list{\listlevel{\leveltext\'01\u-3913 ?;}}}}"
    r"{\header\pard Confidential header\par}{\footer\pard Page \chpgn\par}"
)


def hexed(text: str, codec: str = "cp949") -> str:
    r"""Text with everything beyond ASCII as pairs of \'xx."""
    out = []
    for char in text:
        if char in "\\{}":
            out.append("\\" + char)
        elif char.isascii():
            out.append(char)
        else:
            out.append("".join(f"\\'{byte:02x}" for byte in char.encode(codec)))
    return "".join(out)


def escaped(text: str) -> str:
    r"""Text with everything beyond ASCII as \uN and a question mark for old readers."""
    units = (f"\\u{ord(c)}?" if not c.isascii() else "\\" + c if c in "\\{}" else c for c in text)
    return "".join(units)


def rtf(body: str, info: str = "", page: int = 949) -> bytes:
    third = "heading 3" if page == 1252 else hexed("제목 3")
    styles = _STYLES.replace("HEADING", third)
    text = (
        f"{{\\rtf1\\ansi\\ansicpg{page}\\deff1\\uc1\n{_FONTS}\n{styles}\n{_NOISE}\n{info}\n"
        f"\\viewkind4{body}}}\n"
    )
    return text.encode("ascii")


def report_rtf(report: Report) -> bytes:
    is_korean = not report.title.isascii()
    text = hexed if is_korean else escaped
    at = report.authored_at
    info = (
        f"{{\\info{{\\title {text(report.title)}}}{{\\author {text(report.author)}}}"
        f"{{\\keywords {text(', '.join(report.keywords))}}}"
        f"{{\\creatim\\yr{at.year}\\mo{at.month}\\dy{at.day}\\hr{at.hour}\\min{at.minute}}}}}"
    )
    font = "\\f1 " if is_korean else "\\f0 "
    body = f"\\pard\\s1\\outlinelevel0{font}\\b {text(report.title)}\\b0\\par\n"
    for section in report.sections:
        body += f"\\pard\\s{section.level}{font}{text(section.title)}\\par\n"
        for paragraph in section.paragraphs:
            half = len(paragraph) // 2
            body += f"\\pard\\s0{font}{text(paragraph[:half])}{{\\i{font}{text(paragraph[half:])}}}\\par\n"
        for item in section.items:
            body += f"\\pard\\s0\\ls1{{\\listtext\\pard\\f2 \\'b7\\tab}}{font}{text(item)}\\par\n"
        for row in section.table:
            defs = "".join(f"\\cellx{(n + 1) * 2000}" for n in range(len(row)))
            cells = "".join(f"\\pard\\intbl{font}{text(cell)}\\cell" for cell in row)
            body += f"\\trowd\\trgaph100{defs}\n{cells}\\row\n"
    return rtf(body, info, 949 if is_korean else 1252)


def features_rtf() -> bytes:
    r"""Pictures, \bin, fields, notes, hidden text, merged and nested cells, mixed code pages."""
    body = (
        r"\pard\outlinelevel0{\listtext 1.\tab}\f1 " + hexed("첫째 장") + r"\par" "\n"
        r"\pard\f1 " + hexed("각주가 있는 문장") + r"{\super\chftn}{\footnote\pard\plain {\super\chftn} "
        r"\f1 " + hexed("각주의 내용.") + r"}" + hexed(" 다음 말") + r".\par" "\n"
        r'\pard {\field{\*\fldinst HYPERLINK "http://example.org/"}{\fldrslt a link}} and '
        r"{\v hidden }\u8364\'80uro, \uc2\u44032\'b0\'a1\u-10179??\u-8704??\uc1  end\emdash dash\line second line\par" "\n"
        r"\pard{\*\shppict{\pict\pngblip 89504e470d0a1a0a}}{\pict\wmetafile8\bin4 }{\{}After the picture\par" "\n"
        r"{\object\objemb{\*\objdata 0102}{\result\pard Seen result\par}}"
        r"\pard\plain\loch\f0 Latin \dbch\f1 " + hexed("한글") + r"\loch\f0  again\par" "\n"
        r"\trowd\clvmgf\cellx1000\clmgf\cellx2000\clmrg\cellx3000"
        r"\pard\intbl\f1 " + hexed("구분") + r"\cell " + hexed("계획") + r"\cell\cell\row" "\n"
        r"\trowd\clvmrg\cellx1000\cellx2000\cellx3000"
        r"\pard\intbl\cell first\par second\cell a|b\cell\row" "\n"
        r"\pard Between the tables\par\trowd\cellx1000\cellx2000\pard\intbl outer\cell"
        r"\pard\intbl\itap2 in 1\nestcell{\nonesttables\par}in 2\nestcell"
        r"{\*\nesttableprops\trowd\cellx1\cellx2\nestrow}\pard\intbl\cell\row" "\n"
        r"\pard\par\trowd\cellx9000\pard\intbl framed text\cell\row" "\n"
        r"\pard{\pntext\'b7\tab}{\*\pn\pnlvlblt}bullet item\par" "\n"
        r"\pard{\listtext b)\tab}lettered item\par" "\n"
        r"{\shp{\*\shpinst{\sp{\sn shapeType}{\sv 202}}{\shptxt\pard In a text box\par}}"
        r"{\shprslt drawn twice}}\pard The end\par"
    )  # fmt: skip
    return rtf(body, r"{\info{\title " + hexed(KO.title) + r"}{\doccomm note}}")


def main() -> None:
    for language, report in REPORTS.items():
        (FIXTURES / f"report.{language}.rtf").write_bytes(report_rtf(report))
    (FIXTURES / "features.rtf").write_bytes(features_rtf())


if __name__ == "__main__":
    main()
