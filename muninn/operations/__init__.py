"""The platform looking after itself: health, and its own metrics."""
