"""``python -m sagemaker_pyspark.local serve``: the local SageMaker as a server of its own."""
from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sagemaker_pyspark.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve until interrupted")
    serve.add_argument("--port", type=int, default=4566, help="0 takes a free one")
    serve.add_argument("--folder", help="where jobs and models lie; default a temporary folder")
    serve.add_argument("--images", default="{}", help="JSON: image URI to a command as a list of words")
    serve.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    from . import folders
    from .server import run

    with contextlib.ExitStack() as stack:
        folder = options.folder
        if not folder:
            folders.sweep()
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=folders.PREFIX, ignore_cleanup_errors=True))
            folders.claim(folder)
        run(options.port, folder, json.loads(options.images), options.until_stdin_closes)
        if options.until_stdin_closes:
            folders.remove(folder)  # whoever made it may be gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
