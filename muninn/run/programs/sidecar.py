"""The sidecar: live samples to viewers over WebSocket."""

from muninn import reads
from muninn.operations import listening
from muninn.run.programs import Context
from muninn.stream.server import Sidecar


def main(context: Context) -> None:
    """Stream until stopped."""
    seeder = context.cleanup.enter_context(reads.connect(context.settings, meter=context.meter))
    judge = context.judge("sidecar")
    tls = listening.server_context(context.settings)
    sidecar = Sidecar(
        context.settings.sidecar, context.broker(names=True), seeder, context.clock, context.meter, judge=judge, tls=tls
    )
    context.start_heartbeat()
    sidecar.run(context.stop)
