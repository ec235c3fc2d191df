"""What several processes share at memory speed: hot answers and the heartbeat board, in Redis.

Belongs here: the Redis client, caches and boards, each with a memory twin. Does not: what is cached, or why.
"""

from muninn.cache.board import Board, BoardEntry, MemoryBoard, RedisBoard
from muninn.cache.client import connect
from muninn.cache.hot import Hot, HotCache, MemoryCache, RedisCache
from muninn.cache.score_log import MemoryScoreLog, RedisScoreLog

__all__ = [
    "Board",
    "BoardEntry",
    "Hot",
    "HotCache",
    "MemoryBoard",
    "MemoryCache",
    "MemoryScoreLog",
    "RedisBoard",
    "RedisCache",
    "RedisScoreLog",
    "connect",
]
