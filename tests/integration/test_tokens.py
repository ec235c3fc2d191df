"""Tokens on a real database: made, listed, revoked; and a gateway's doorkeeper before real routes."""

import asyncio
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette

from muninn import settings
from muninn.clock import SystemClock
from muninn.errors import Invalid, Misconfigured
from muninn.guard.judge import Judge
from muninn.guard.roll import Roll
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.http import IngestDoor
from muninn.meter import Meter
from muninn.operations import access, listening
from muninn.run import tokens as commands
from muninn.store.database import Database
from muninn.store.tokens import StoredTokens


def chosen(url: str, **variables: str) -> settings.Settings:
    return settings.load({"MUNINN_DATABASE_URL": url, **variables})


def test_a_token_is_kept_without_its_secret(postgres_url: str) -> None:
    with Database(postgres_url, pool_size=1) as database:
        kept = StoredTokens(database)
        secret = kept.create(
            "edge-7", ["ingest", "read"], samples_per_s=1000, expires_at=datetime(2100, 1, 1, tzinfo=UTC)
        )
        (found,) = kept.tokens()
        assert (found.name, found.scopes, found.samples_per_s) == ("edge-7", {"ingest", "read"}, 1000)
        assert found.expires_us == 4_102_444_800_000_000
        assert secret.encode() not in b"".join(
            bytes(part, "utf-8") for part in map(str, database.fetch("store_tokens"))
        )
        with pytest.raises(Invalid, match="already"):
            kept.create("edge-7", ["read"])
        kept.revoke("edge-7")
        assert kept.tokens() == []
        with pytest.raises(Invalid, match="no token"):
            kept.revoke("edge-7")
        kept.create("edge-7", ["read"])  # the name is free again
        assert kept.signing_key() == kept.signing_key()


def test_the_commands_make_list_and_revoke(postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = chosen(postgres_url)
    commands.create(config, "huginn", ["ingest"], None, 5.0, "90d", True)
    made = orjson.loads(capsys.readouterr().out)
    assert made["scopes"] == ["ingest"]
    commands.show(config, True)
    (listed,) = orjson.loads(capsys.readouterr().out)
    assert (listed["name"], listed["requests_per_s"]) == ("huginn", 5.0)
    assert made["token"] not in str(listed)
    commands.show(config, False)
    assert "huginn" in capsys.readouterr().out
    commands.revoke(config, "huginn")
    commands.show(config, False)
    assert "muninn token create" in capsys.readouterr().out


def test_listening_elsewhere_needs_a_token_and_says_how_to_make_one(postgres_url: str) -> None:
    beyond = chosen(postgres_url, MUNINN_GATEWAY_HOST="0.0.0.0")
    with Database(postgres_url, pool_size=1) as database:
        kept = StoredTokens(database)
        roll = Roll(kept)
        roll.refresh()
        listening.check(chosen(postgres_url), "gateway", roll)
        with pytest.raises(Misconfigured, match="muninn token create NAME --scope ingest"):
            listening.check(beyond, "gateway", roll)
        listening.check(
            chosen(postgres_url, MUNINN_GATEWAY_HOST="0.0.0.0", MUNINN_ACCESS_OPEN="gateway"), "gateway", roll
        )
        kept.create("a", ["ingest"])
        roll.refresh()
        listening.check(beyond, "gateway", roll)
        with pytest.raises(Misconfigured, match="MUNINN_SIDECAR_HOST"):
            listening.check(chosen(postgres_url, MUNINN_SIDECAR_HOST="::"), "sidecar", roll)


@pytest.mark.parametrize("name", ["dagster", "statsd"])
def test_what_has_no_login_stays_on_loopback_unless_told(postgres_url: str, name: str) -> None:
    variables = {f"MUNINN_{name.upper()}_HOST": "0.0.0.0", "MUNINN_STATSD_PORT": "8125"}
    with pytest.raises(Misconfigured, match=f"MUNINN_ACCESS_OPEN={name}"):
        listening.check_unasking(chosen(postgres_url, **variables))
    listening.check_unasking(chosen(postgres_url, **variables, MUNINN_ACCESS_OPEN=name))


class Gateway:
    """The door behind a doorkeeper, asked from an address of choice."""

    def __init__(self, roll: Roll, config: settings.Settings):
        self.meter = Meter()
        door = IngestDoor(MemoryBroker(), meter=self.meter)
        judge = Judge(access.policy(config, "gateway"), roll)
        self.app = access.Doorkeeper(Starlette(routes=door.routes()), judge, door.paths(), self.meter)

    def post(self, path: str, body: bytes, peer: str = "10.0.0.9", **headers: str) -> httpx.Response:
        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(peer, 4242))
            async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1:8480") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.post(path, content=body, headers=named)

        return asyncio.run(request())

    def send(self, peer: str = "10.0.0.9", samples: int = 1, **headers: str) -> httpx.Response:
        now_ms = SystemClock().now_us() // 1000
        rows: list[Any] = [
            {"metric": "m", "timestamp": now_ms, "value": 1.0, "labels": {"n": n}} for n in range(samples)
        ]
        return self.post("/api/v1/metrics", orjson.dumps(rows), peer, content_type="application/json", **headers)


def test_the_gateway_asks_everyone_but_this_machine(postgres_url: str) -> None:
    with Database(postgres_url, pool_size=1) as database:
        kept = StoredTokens(database)
        secret, reader = kept.create("a", ["ingest"], samples_per_s=10), kept.create("r", ["read"])
        roll = Roll(kept)
        roll.refresh()
        gateway = Gateway(roll, chosen(postgres_url))
        assert gateway.send("127.0.0.1").status_code == 200
        refused = gateway.send()
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert "muninn token create" in refused.json()["detail"]
        assert gateway.send(authorization=f"Bearer {reader}").status_code == 403
        assert gateway.send(samples=45, authorization=f"Bearer {secret}").status_code == 200
        limited = gateway.send(authorization=f"Bearer {secret}")
        assert limited.status_code == 429
        assert int(limited.headers["retry-after"]) >= 1
        counted = {(name, labels.get("token")): value for name, labels, value in gateway.meter.snapshot()}
        assert counted["muninn_token_samples_total", "a"] == 45


def test_influx_clients_send_their_token_in_their_own_ways(postgres_url: str) -> None:
    with Database(postgres_url, pool_size=1) as database:
        kept = StoredTokens(database)
        secret = kept.create("telegraf", ["ingest"])
        roll = Roll(kept)
        roll.refresh()
        gateway = Gateway(roll, chosen(postgres_url))
        for header in (f"Token {secret}", httpx.BasicAuth("telegraf", secret)._auth_header):
            assert gateway.post("/api/v2/write", b"cpu,host=a value=1", authorization=header).status_code == 204
        assert gateway.post(f"/write?u=telegraf&p={secret}", b"cpu,host=a value=1").status_code == 401


def certificate(folder: Path) -> Path:
    """A self-signed certificate with its key, in one file."""
    pem = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=metrics.example", "-days", "2",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_bytes((folder / "certificate.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return pem


def test_a_certificate_that_does_not_fit_is_named(postgres_url: str, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    good = chosen(postgres_url, MUNINN_ACCESS_TLS_CERTIFICATE=str(pem))
    assert isinstance(listening.server_context(good), ssl.SSLContext)
    assert good.gateway_url.startswith("https://")
    for variables in (
        {"MUNINN_ACCESS_TLS_CERTIFICATE": str(tmp_path / "missing.pem")},
        {"MUNINN_ACCESS_TLS_CERTIFICATE": str(tmp_path / "certificate.pem")},
        {"MUNINN_ACCESS_TLS_KEY": str(pem)},
    ):
        with pytest.raises(Misconfigured, match="MUNINN_ACCESS_TLS"):
            listening.files_of_tls(chosen(postgres_url, **variables))


def test_the_command_line_works_where_nothing_runs(tmp_path: Path) -> None:
    """It starts the embedded database for the moment, also for the first time, and ends it."""
    environ = {"MUNINN_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}

    def muninn(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "from muninn.run.cli import main; main()"
        return subprocess.run([sys.executable, "-c", code, *arguments], env=environ, capture_output=True, text=True)

    made = muninn("token", "create", "first", "--scope", "ingest")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("muninn_")
    listed = muninn("token", "list", "--json")
    assert [each["name"] for each in orjson.loads(listed.stdout)] == ["first"]
    wrong = muninn("token", "create", "second", "--scope", "everything")
    assert (wrong.returncode, "choose from" in wrong.stderr) == (1, True)
