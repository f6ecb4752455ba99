"""The platform's REST API as the CLI calls it: an operator's token, a new Idempotency-Key for a write that names none."""

import uuid
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from tenure_local.home import Home

ROWS_AT_ONCE: Final = 5_000


class ApiError(Exception):
    """The platform answered with a problem; the message is its code and text."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        self.code = problem.get("code", "")
        said = problem.get("detail") or response.text[:300]
        places = (f"{one.get('pointer')}: {one.get('message')}" for one in problem.get("errors") or ())
        super().__init__("; ".join([f"{response.status_code} {self.code}: {said}", *places]))


class Api:
    """A client in one role. Raises ApiError for problems, httpx.HTTPError when nobody answers."""

    def __init__(self, home: Home, subject: str = "cli", *roles: str, book: list[str] | None = None) -> None:
        token = home.bearer(subject, *(roles or ("operator",)), book=book)
        self._http = httpx.Client(
            base_url=home.addresses().url, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, *names: str, **params: str | int | None) -> Any:
        """GET a path; each `{}` in it stands for one of `names`, quoted. Raises ApiError."""
        given = {k: v for k, v in params.items() if v is not None}
        quoted = path.format(*(quote(name, safe="") for name in names)) if names else path
        return _answer(self._http.get(quoted, params=given))

    def audit(self, path: str) -> dict[str, bool]:
        """What a service answers when it looks at all its books, however long that takes. Raises ApiError."""
        found: dict[str, bool] = _answer(self._http.get(path, timeout=httpx.Timeout(60, read=None)))
        return found

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        return _answer(self._http.post(path, json=body, headers=_new_key(key)))

    def put(self, path: str, body: Any, *, key: str | None = None) -> Any:
        return _answer(self._http.put(path, json=body, headers=_new_key(key)))

    def put_bytes(self, path: str, body: bytes) -> Any:
        headers = {"Content-Type": "application/octet-stream", **_new_key(None)}
        return _answer(self._http.put(path, content=body, headers=headers))

    def post_csv(self, path: str, body: bytes, *, key: str | None = None) -> tuple[Any, bool]:
        """The answer, and whether it is the one that the same file got before under this key."""
        response = self._http.post(path, content=body, headers={"Content-Type": "text/csv", **_new_key(key)})
        return _answer(response), response.headers.get("Idempotency-Replayed") == "true"

    def get_bytes(self, path: str, **params: str | int | None) -> bytes:
        """A file. Raises ApiError."""
        response = self._http.get(path, params={k: v for k, v in params.items() if v is not None})
        if response.is_error:
            raise ApiError(response)
        return response.content

    def rows(self, path: str, **params: str | int | None) -> Iterator[dict[str, Any]]:
        """All rows of an operator's listing, page after page."""
        after: str | None = ""
        while after is not None:
            page = self.get(path, limit=ROWS_AT_ONCE, after=after or None, **params)
            yield from page["items"]
            after = page["next_after"]


def _new_key(key: str | None) -> Mapping[str, str]:
    return {"Idempotency-Key": key or uuid.uuid4().hex}


def _answer(response: httpx.Response) -> Any:
    if response.is_error:
        raise ApiError(response)
    return response.json() if response.content else None
