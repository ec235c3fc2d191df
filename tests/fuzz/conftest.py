"""The fuzz targets are imported as `targets`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
