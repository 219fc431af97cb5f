"""Entry point of the container programs."""
from __future__ import annotations

import importlib
import sys

_MODULES = {"kmeans": "kmeans", "pca": "pca", "linear-learner": "linear", "factorization-machines": "factorization",
            "lda": "lda", "xgboost": "boosting"}


def main() -> int:
    algorithm, verb = sys.argv[1:3]
    if verb == "serve":
        from .serving import serve

        return serve(algorithm)
    from . import contract

    return contract.run(algorithm, importlib.import_module(f".{_MODULES[algorithm]}", __package__).train)


if __name__ == "__main__":
    sys.exit(main())
