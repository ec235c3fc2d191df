#!/usr/bin/env bash
# A Chromium for the browser tests: found, or installed where that may be done. Never fails: without one
# those tests are skipped, and pytest's summary says so.
set -uo pipefail

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && exit 0
done
if .venv/bin/python -c '
import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    sys.exit(not pathlib.Path(playwright.chromium.executable_path).exists())
' 2>/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "No Chromium, and no apt-get to install one with: the browser tests will be skipped."
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "No Chromium, and only root may install one (apt-get install chromium): the browser tests will be skipped."
    exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
echo "Installing Chromium for the browser tests ..."
if ! { timeout 300 apt-get -q update && timeout 600 apt-get -q install -y --no-install-recommends chromium; } >"$log" 2>&1; then
    echo "Chromium could not be installed, the browser tests will be skipped: $(grep -E '^(E|Err|W):' "$log" | tail -1)"
fi
exit 0
