"""Components that run in the browser: JavaScript and CSS beside the Python that mounts them."""
