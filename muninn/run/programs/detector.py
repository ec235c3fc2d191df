"""The detector: judges every series as its samples come, and keeps incidents."""

from muninn import cache
from muninn.run.detecting import Detecting
from muninn.run.programs import Context


def main(context: Context) -> None:
    """Detect until stopped."""
    database = context.database()
    scores = cache.RedisScoreLog(cache.connect(context.settings.require_redis_url(), max_connections=4))
    detecting = Detecting(
        context.settings.detection, context.broker(names=True), scores, database, context.clock, context.meter
    )
    detecting.restore()
    context.start_heartbeat()
    while not context.stop.is_set():
        detecting.turn()
    detecting.save()
