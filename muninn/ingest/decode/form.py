"""One sample as a web form (application/x-www-form-urlencoded): what Huginn's Post Agent sends unless told otherwise.

Names are those of JSON; labels are `labels[NAME]=value`, as Rack and Faraday nest them. Others are passed over.
"""

from urllib.parse import parse_qsl

from muninn.errors import Invalid
from muninn.ingest.decode.json import decode_rows
from muninn.ingest.decode.keys import KeyTable
from muninn.ingest.validate import Decoded, Rules

_FIELDS = ("metric", "timestamp", "value", "source_agent_id", "instance_id")
_MAX_PAIRS, _MAX_BYTES = 256, 256 << 10


def decode_form(body: bytes, rules: Rules, now_us: int, table: KeyTable | None = None) -> Decoded:
    """The one sample of a form; Invalid where it is none."""
    if len(body) > _MAX_BYTES:
        raise Invalid(f"a form holds one sample in at most {_MAX_BYTES} bytes: send many as JSON")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_PAIRS, errors="strict")
    except UnicodeDecodeError:
        raise Invalid("the form is not UTF-8") from None
    except ValueError:
        raise Invalid(f"the form has more than {_MAX_PAIRS} fields") from None
    row: dict[str, object] = {}
    labels: dict[str, str] = {}
    for name, value in pairs:
        if name in _FIELDS:
            row[name] = value
        elif name.startswith("labels[") and name.endswith("]"):
            labels[name[len("labels[") : -1]] = value
    if not row:
        raise Invalid(f"the form has none of the fields {', '.join(_FIELDS)} and labels[NAME]")
    return decode_rows([{**row, "labels": labels}], rules, now_us, table or KeyTable())
