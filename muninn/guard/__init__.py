"""Who may come in, and how much at once: tokens, scopes, rates, tickets, and which peers are trusted.

Belongs here: judging a request from its headers and its peer; what a token is. Does not: where tokens are kept (store),
sockets and answers (operations, stream).
"""
