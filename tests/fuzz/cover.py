"""One coverage-guided target: `python tests/fuzz/cover.py TARGET SECONDS CORPUS`; libFuzzer ends it at what it finds.

An input that takes over ten seconds, or more memory than the limit, counts as a finding too.
"""

import sys
from pathlib import Path

import atheris

# Before instrumentation: numba compiles their bytecode as it is written.
import muninn.ingest.decode._labels
import muninn.ingest.decode._lines
import muninn.ingest.decode._nested
import muninn.ingest.decode._octets
import muninn.ingest.decode._wire
import muninn.numerics.fingerprints  # noqa: F401

SLOW_S, MEMORY_MB = 10, 2048


def main(name: str, seconds: int, corpus: Path) -> None:
    with atheris.instrument_imports(include=["muninn", "prometheus_client.parser"]):
        sys.path.insert(0, str(Path(__file__).parent))
        import targets
    target = targets.TARGETS_BY_NAME[name]
    for number, seed in enumerate(targets.SEEDS_BY_NAME[name]):
        target(seed)  # what numba compiles on the way is no slow input
        (corpus / f"seed-{name}-{number}").write_bytes(seed)
    tokens = targets.text_targets.TOKENS.get(name, [])
    if tokens:
        written = (token.encode().hex() for token in tokens)
        each = ("".join(f"\\x{pair[i : i + 2]}" for i in range(0, len(pair), 2)) for pair in written)
        (corpus / "seed-tokens").write_text("".join(f'"{token}"\n' for token in each))
    limits = [f"-max_total_time={seconds}", f"-timeout={SLOW_S}", f"-rss_limit_mb={MEMORY_MB}", "-max_len=65536"]
    limits += [f"-dict={corpus / 'seed-tokens'}"] if tokens else []
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={corpus}/", str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
