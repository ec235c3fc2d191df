"""The protocols of the door: for each its path, its formats, and what its clients expect to be told.

Belongs here: content types, parameters, answers. Does not: formats themselves (decode), bodies and the buffer (http).
Modules that take long to load, or much memory, are imported when the first request needs them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from muninn.ingest.about import About
from muninn.ingest.decode import Count
from muninn.ingest.decode.form import decode_form
from muninn.ingest.decode.json import decode_json, decode_ndjson
from muninn.ingest.decode.keys import KeyTable
from muninn.ingest.problem import problem
from muninn.ingest.validate import Decoded, Rules

if TYPE_CHECKING:
    from muninn.ingest.decode.influx import InfluxDecoder
    from muninn.ingest.decode.remote_write import RemoteWriteDecoder

# (body, rules, now_us, the most bytes it may unpack to, known keys) -> samples
Decode = Callable[[bytes, Rules, int, int, KeyTable], Decoded]
_REMOTE_WRITE_FORMATS = ("application/x-protobuf",)
_OTLP_FORMATS = ("application/x-protobuf", "application/json")
_PLAIN_OR_GZIP = ("identity", "gzip", "x-gzip")


@dataclass(frozen=True)
class Protocol:
    """decoder: how to read a request's body, or the answer that refuses it. answer: what a taken request is told.

    unpacked: how many bytes a body says that it becomes, of formats that are packed by themselves.
    formats: media types of bodies. parameters: of the query. told: media type of `answer` where all is well.
    """

    name: str
    path: str
    text: str
    decoder: Callable[[Request, Count], Decode | Response]
    answer: Callable[[Request, Decoded, str | None], Response]
    formats: tuple[str, ...]
    encodings: tuple[str, ...] = _PLAIN_OR_GZIP
    parameters: tuple[str, ...] = ()
    told: str = ""
    unpacked: Callable[[bytes], int] = len

    @property
    def about(self) -> About:
        """For who describes the gateway."""
        packed = tuple(each for each in self.encodings if each != "identity")
        return About(self.text, self.parameters, bodies=self.formats, encodings=packed, answer=self.told)


def protocols() -> list[Protocol]:
    """All but our own."""
    return [
        Protocol(
            "prometheus",
            "/api/v1/write",
            "Samples as Prometheus remote write 1.0 sends them. 400 as soon as one is bad; the good ones are taken.",
            _remote_write,
            _prometheus_answer,
            _REMOTE_WRITE_FORMATS,
            ("snappy", "identity"),
            unpacked=_unsnapped,
        ),
        Protocol(
            "otlp",
            "/v1/metrics",
            "Metrics of OpenTelemetry, OTLP over HTTP. Bad points are told in `partial_success`.",
            _otlp,
            _otlp_answer,
            _OTLP_FORMATS,
            told="application/json",
        ),
        *(
            Protocol(
                "influx",
                path,
                "Samples in Influx's line protocol. 400 with the first bad line; the good ones are taken.",
                _influx,
                _influx_answer,
                ("text/plain",),
                parameters=("precision",),
            )
            for path in ("/write", "/api/v2/write")
        ),
    ]


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(media_type: str, accepted: tuple[str, ...]) -> Response:
    shown = f"'{media_type[:80]}' is not" if media_type else "no content type is given;"
    return problem(415, f"{shown} one of {', '.join(accepted)}", {"Accept-Post": ", ".join(accepted)})


def _summary(decoded: Decoded) -> str:
    """What was wrong, for protocols that have room for a sentence."""
    first = decoded.errors[0]
    return f"{decoded.rejected} refused, {len(decoded.batch)} taken; first, sample {first.index}: {first.reason}"


# Our own: JSON, NDJSON, Arrow.


def _own(request: Request, _: Count) -> Decode | Response:
    media_type = _media_type(request)
    return _OWN_FORMATS.get(media_type) or _unsupported(media_type, tuple(_OWN_FORMATS))


def _own_answer(_: Request, decoded: Decoded, entry_id: str | None) -> Response:
    counts: dict[str, object] = {
        "accepted": len(decoded.batch),
        "rejected": decoded.rejected,
        "errors": [{"index": bad.index, "reason": bad.reason} for bad in decoded.errors],
    }
    if decoded.left_out:
        counts["left_out"] = decoded.left_out
    if decoded.rejected and not len(decoded.batch) and not decoded.left_out:
        first = decoded.errors[0]
        return problem(400, f"none of the samples is good; sample {first.index}: {first.reason}", more=counts)
    return Response(orjson.dumps({**counts, "entry_id": entry_id}), media_type="application/json")


def _json(body: bytes, rules: Rules, now_us: int, _: int, keys: KeyTable) -> Decoded:
    return decode_json(body, rules, now_us, keys)


def _ndjson(body: bytes, rules: Rules, now_us: int, _: int, keys: KeyTable) -> Decoded:
    return decode_ndjson(body, rules, now_us, keys)


def _form(body: bytes, rules: Rules, now_us: int, _: int, keys: KeyTable) -> Decoded:
    return decode_form(body, rules, now_us, keys)


def _arrow_stream(body: bytes, rules: Rules, now_us: int, max_bytes: int, keys: KeyTable) -> Decoded:
    from muninn.ingest.decode.arrow import decode_arrow_stream

    return decode_arrow_stream(body, rules, now_us, max_bytes, keys)


def _arrow_file(body: bytes, rules: Rules, now_us: int, max_bytes: int, keys: KeyTable) -> Decoded:
    from muninn.ingest.decode.arrow import decode_arrow_file

    return decode_arrow_file(body, rules, now_us, max_bytes, keys)


_OWN_FORMATS: dict[str, Decode] = {
    "application/json": _json,
    "application/x-ndjson": _ndjson,
    "text/x-ndjson": _ndjson,
    "application/x-www-form-urlencoded": _form,
    "application/vnd.apache.arrow.stream": _arrow_stream,
    "application/vnd.apache.arrow.file": _arrow_file,
}


def _own_unpacked(body: bytes) -> int:
    """Of Arrow what its heads say: a file has a name in front, a message a marker, or the length of its head."""
    if body.startswith((b"ARROW1", b"\xff\xff\xff\xff")) or body[3:4] == b"\0":
        from muninn.ingest.decode.arrow_bounds import unpacked_bytes

        return unpacked_bytes(body)
    return len(body)


OWN = Protocol(
    "muninn",
    "/api/v1/metrics",
    "Samples in Muninn's own forms: docs/ingest.md. Bad ones are named; 400 where none is good.",
    _own,
    _own_answer,
    tuple(_OWN_FORMATS),
    told="application/json",
    unpacked=_own_unpacked,
)


# Prometheus remote write 1.0; a 2.0 sender falls back to 1.0 when it is told 415.


@cache
def _remote_write_decoder() -> "RemoteWriteDecoder":
    from muninn.ingest.decode.remote_write import RemoteWriteDecoder

    return RemoteWriteDecoder()


def _unsnapped(body: bytes) -> int:
    from muninn.ingest.decode.remote_write import unsnapped_bytes

    return unsnapped_bytes(body) or 0


def _remote_write(request: Request, count: Count) -> Decode | Response:
    content_type = request.headers.get("content-type", "application/x-protobuf")
    if "io.prometheus.write.v2" in content_type:
        return problem(415, "remote write 2.0 is not spoken here: send 1.0 (prometheus.WriteRequest)")
    if _media_type(request) not in (*_REMOTE_WRITE_FORMATS, ""):
        return _unsupported(_media_type(request), _REMOTE_WRITE_FORMATS)
    return lambda body, rules, now_us, max_bytes, _: _remote_write_decoder().decode(
        body, rules, now_us, max_bytes, count
    )


def _prometheus_answer(_: Request, decoded: Decoded, entry_id: str | None) -> Response:  # noqa: ARG001
    """The specification wants 400 as soon as one sample is bad; the good ones are taken all the same."""
    return problem(400, _summary(decoded)) if decoded.rejected else Response(status_code=204)


# Influx line protocol, as Telegraf's outputs and Influx's clients send it.


@cache
def _influx_decoder() -> "InfluxDecoder":
    from muninn.ingest.decode.influx import InfluxDecoder

    return InfluxDecoder()


def _influx(request: Request, count: Count) -> Decode | Response:
    precision = request.query_params.get("precision") or "ns"
    return lambda body, rules, now_us, _max, _keys: _influx_decoder().decode(body, rules, now_us, precision, count)


def _influx_answer(_: Request, decoded: Decoded, entry_id: str | None) -> Response:  # noqa: ARG001
    if not decoded.rejected:
        return Response(status_code=204)
    message = orjson.dumps({"code": "invalid", "message": f"partial write: {_summary(decoded)}"})
    return Response(message, 400, media_type="application/json")


# OpenTelemetry: OTLP over HTTP.


def _otlp(request: Request, count: Count) -> Decode | Response:
    media_type = _media_type(request)
    if media_type not in _OTLP_FORMATS:
        return _unsupported(media_type, _OTLP_FORMATS)

    def decode(body: bytes, rules: Rules, now_us: int, _: int, keys: KeyTable) -> Decoded:  # noqa: ARG001
        from muninn.ingest.decode import otlp

        return otlp.decode(body, media_type, rules, now_us, count)

    return decode


def _otlp_answer(request: Request, decoded: Decoded, entry_id: str | None) -> Response:  # noqa: ARG001
    from muninn.ingest.decode import otlp

    media_type = _media_type(request)
    message = _summary(decoded) if decoded.rejected else ""
    return Response(otlp.answer(media_type, decoded.rejected, message), media_type=media_type)
