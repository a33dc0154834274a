"""A small published database, and a local web server with configurable faults."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import wfdb


def publish(root: Path) -> Path:
    """Write a database of the records 100 and 101 below ``root``, as mitdb's server does."""
    folder = root / "mitdb" / "1.0.0"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for record in ("100", "101"):
        wfdb.wrsamp(
            record,
            fs=360,
            units=["mV", "mV"],
            sig_name=["MLII", "V1"],
            p_signal=rng.normal(size=(40_000, 2)).clip(-3, 3),
            fmt=["212", "212"],
            write_dir=str(folder),
        )
        samples = np.arange(200, 39_000, 300)
        symbols = ["N"] * (len(samples) - 3) + ["V", "A", "+"]
        wfdb.wrann(record, "atr", samples, symbol=symbols, write_dir=str(folder))
    (folder / "RECORDS").write_text("100\n101\n")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS.txt").write_text("".join(sums))
    return root


@dataclass(frozen=True)
class Fault:
    """Fault of one response; with all defaults there is none.

    Attributes:
        status: Respond with this status only.
        drop_after: Close the connection after this many bytes of the body.
        wrong_byte: Change the first byte of the body.
        silent: Never respond.
        stall_after: Send this many bytes of the body, then nothing, without closing.
        whole: Ignore the Range header.
        endless: Send zeros without stating a size, until the client closes the connection.
        stated: Content-Length in place of the true one.
    """

    status: int | None = None
    drop_after: int | None = None
    wrong_byte: bool = False
    silent: bool = False
    stall_after: int | None = None
    whole: bool = False
    endless: bool = False
    stated: int | None = None


@dataclass
class Server:
    """Context manager that serves ``folder`` at ``url``.

    Attributes:
        folder: The served folder.
        faults: The faults of the next responses for each file name, in order.
        requests: The (file name, Range header) of every request so far.
        authorizations: The Authorization headers of all requests so far.
    """

    folder: Path
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)

    def ranges(self, name: str) -> list[str | None]:
        """Return the Range headers of the requests for ``name``, in order."""
        return [asked for requested, asked in self.requests if requested == name]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Server:
        self._over = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - self is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                server.requests.append((name, self.headers["Range"]))
                server.authorizations.add(self.headers["Authorization"])
                queue = server.faults[name]
                self.answer(server.folder / self.path[1:], queue.pop(0) if queue else Fault())

            def answer(self, path: Path, fault: Fault) -> None:
                if fault.silent:
                    server._over.wait(10)
                    self.close_connection = True
                    return
                if fault.status or not path.is_file():
                    self.send_error(fault.status or 404)
                    return
                content = path.read_bytes()
                start = self.first_byte(fault)
                if start and start >= len(content):
                    self.send_error(416)
                    return
                if fault.endless:
                    self.send_endless_body()
                    return
                body = content[start:]
                if fault.wrong_byte:
                    body = bytes([body[0] ^ 1]) + body[1:]
                self.send_response(206 if start else 200)
                if start:
                    self.send_header(
                        "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                    )
                self.send_header("Content-Length", str(fault.stated or len(body)))
                self.end_headers()
                self.send_body(body, fault)

            def send_endless_body(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                with contextlib.suppress(OSError):
                    while not server._over.is_set():
                        self.wfile.write(bytes(1 << 16))

            def first_byte(self, fault: Fault) -> int:
                asked = self.headers["Range"]
                if asked is None or fault.whole:
                    return 0
                return int(asked.removeprefix("bytes=").removesuffix("-"))

            def send_body(self, body: bytes, fault: Fault) -> None:
                if fault.stall_after is not None:
                    self.wfile.write(body[: fault.stall_after])
                    self.wfile.flush()
                    server._over.wait(10)
                    self.close_connection = True
                elif fault.drop_after is not None:
                    self.wfile.write(body[: fault.drop_after])
                    self.close_connection = True
                else:
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
