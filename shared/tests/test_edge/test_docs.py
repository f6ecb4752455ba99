"""The API's pages work on a machine without the Internet, and run nothing that is not theirs."""

import re

from tenure.testing import Under


async def test_the_pages_need_nothing_from_elsewhere(offline: Under) -> None:
    page = await offline.http.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "//" not in page.text
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert set(files) == {"docs/swagger-ui.css", "docs/favicon.png", "docs/swagger-ui-bundle.js", "docs/start.js"}
    for name in files:
        answer = await offline.http.get("/" + name)
        assert (answer.status_code, len(answer.content) > 100) == (200, True), name
    start = await offline.http.get("/docs/start.js")
    assert 'url: "openapi.json"' in start.text
    assert (await offline.http.get("/openapi.json")).status_code == 200


async def test_the_pages_run_only_their_own_scripts(offline: Under) -> None:
    page = await offline.http.get("/docs")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert not re.search(r"<script>|<script [^>]*>[^<]| on[a-z]+=", page.text)


async def test_the_pages_are_no_part_of_the_api(offline: Under) -> None:
    assert not [path for path in (await offline.http.get("/openapi.json")).json()["paths"] if path.startswith("/docs")]
    assert (await offline.http.get("/docs/../pyproject.toml")).status_code == 404
    assert (await offline.http.get("/docs/%2e%2e/core.py")).status_code == 404
