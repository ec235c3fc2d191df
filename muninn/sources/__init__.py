"""Where samples come from: this machine, files; and how a client sends them to the gateway."""
