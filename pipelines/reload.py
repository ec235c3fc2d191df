"""Loading the definitions anew, when what they are made from has changed.

Belongs here: asking the code server. Does not: what changed (assets.partitions).
"""

import logging

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from muninn.settings import Settings

log = logging.getLogger("muninn.pipelines.reload")
_TIMEOUT_S = 45


def reload_definitions(settings: Settings) -> bool:
    """Ask the code server (`dagster code-server start`) for a new process; False if it does not answer.

    This process answers what it was asked, and ends. Daemon and web server notice by themselves.
    """
    client = DagsterGrpcClient(host="127.0.0.1", port=settings.dagster.code_port)
    try:
        client.reload_code(timeout=_TIMEOUT_S)
    except DagsterUserCodeUnreachableError as error:
        log.warning("the definitions are as they were until the code server is started again: %s", error)
        return False
    return True
