"""``python -m sagemaker_pyspark sweep``: list what this library left on SageMaker, and delete it when asked."""
from __future__ import annotations

import argparse
import sys

from . import errors, sweeping
from .session import Session


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sagemaker_pyspark", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sweep = commands.add_parser("sweep", help="endpoints, endpoint configs and models that carry our tags")
    sweep.add_argument("--delete", action="store_true", help="delete the expired ones; without it they are only listed")
    sweep.add_argument("--all", action="store_true", help="with --delete: those that have not expired as well")
    sweep.add_argument("--region")
    sweep.add_argument("--profile")
    sweep.add_argument("--endpoint-url", help="another address than AWS's, such as a local SageMaker's")
    sweep.add_argument("--local", action="store_true", help="the address is a local SageMaker: use its credentials")
    options = parser.parse_args(arguments)
    session = Session(region=options.region, profile=options.profile, endpoint_url=options.endpoint_url,
                      local=options.local)
    try:
        return _sweep(session.resolved(), options.delete, options.all)
    except errors.SageMakerError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1


def _sweep(session: Session, delete: bool, everything: bool) -> int:
    found = sweeping.find(session)
    for one in found:
        state = "expired" if one.is_expired() else "not expired"
        print(f"{one.kind:16} {one.name:63} {state} (until {one.expires:%Y-%m-%d %H:%M} UTC), owner {one.owner}")
    doomed = found if everything else sweeping.expired(found)
    print(f"{len(found)} of ours, {len(sweeping.expired(found))} expired")
    if delete:
        sweeping.delete(session, doomed)
        print(f"deleted {len(doomed)}")
    elif doomed:
        print("run again with --delete to delete the expired ones")
    return 0


if __name__ == "__main__":
    sys.exit(main())
