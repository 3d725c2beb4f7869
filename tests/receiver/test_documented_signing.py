"""The functions of docs/WEBHOOK.md and the example of the README sign as the receiver expects."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flows.receiver.signing import sign

ROOT = Path(__file__).parents[2]
SECRETS = ["a plain secret of more than 24 bytes", f"whsec_{base64.b64encode(bytes(range(32))).decode()}"]
TARGETS = ["", "POST /v1/documents/hr?path=a%2Fb.txt"]
BODY = '{"changed": ["인사/김민수.pdf"]}'.encode()
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def _block(document: str, language: str, mark: str) -> str:
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if mark in block)


def _bash(script: str, *arguments: str, body: bytes = b"") -> str:
    command = ["bash", "-euc", script, "bash", *arguments]
    return subprocess.run(command, input=body, capture_output=True, check=True).stdout.decode()


@needs_openssl
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("secret", SECRETS)
def test_the_shell_function_signs(secret, target):
    functions = _block("docs/WEBHOOK.md", "bash", "hook_sign()").partition("\nexport HOOK_URL")[0]
    signed = _bash(f'{functions}\nhook_sign "$@"', secret, "message-1", "1700000000", target, body=BODY)
    assert signed.strip() == sign(secret, "message-1", 1_700_000_000, BODY, target=target)


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/v1/events/hr", ""),
        ("DELETE", "/v1/documents/hr?path=a.txt", "DELETE /v1/documents/hr?path=a.txt"),
        ("GET", "/v1/events/hr/1", "GET /v1/events/hr/1"),
    ],
)
@pytest.mark.parametrize("secret", SECRETS)
def test_the_python_function_signs(secret, method, path, target, monkeypatch):
    sent: list[Any] = []

    def urlopen(request, **_):
        sent.append(request)
        return io.BytesIO(b"{}")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    found: dict[str, Any] = {}
    exec(_block("docs/WEBHOOK.md", "python", "def send(").partition("\nprint(send(")[0], found)
    body = BODY if method == "POST" else b""
    found["send"]("http://127.0.0.1:8321", secret, method, path, body, id="message-1")
    (request,) = sent
    timestamp = int(request.headers["Webhook-timestamp"])
    assert request.method == method
    assert request.headers["Webhook-signature"] == sign(secret, "message-1", timestamp, body, target=target)


@needs_openssl
@pytest.mark.parametrize("document", ["README.md", "docs/ko/README.md"])
def test_the_example_of_the_readme_signs(document, tmp_path):
    secret = SECRETS[0]
    block = _block(document, "sh" if document == "README.md" else "bash", "signature=$(")
    example = "body=" + block.partition("\nbody=")[2].partition("\ncurl ")[0]
    (tmp_path / "intranet.secrets").write_text(f"{secret}\n", encoding="utf-8")
    said = _bash(f'cd "$1"\n{example}\nprintf "%s\\n" "$id" "$now" "$signature" "$body"', str(tmp_path))
    id, now, signature, body = said.splitlines()
    assert f"v1,{signature}" == sign(secret, id, int(now), body.encode())
