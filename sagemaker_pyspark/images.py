"""Algorithm and region to an image URI, from a table that is data and can be overridden."""
from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import errors

__all__ = ["OVERRIDE_VARIABLE", "regions", "uri", "versions"]

#: Names a JSON file of the same form as ``images.json``, merged over it.
OVERRIDE_VARIABLE = "SAGEMAKER_PYSPARK_IMAGES"


@lru_cache(maxsize=4)
def _table(override: str | None) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((Path(__file__).parent / "images.json").read_text())
    if override:
        for section, entries in json.loads(Path(override).read_text()).items():
            for key, value in entries.items():
                old = table.setdefault(section, {}).get(key)
                table[section][key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return table


def _current() -> dict[str, Any]:
    return _table(os.environ.get(OVERRIDE_VARIABLE))


def uri(algorithm: str, region: str | None, version: str | None = None) -> str:
    """URI of an algorithm's image.

    Parameters
    ----------
    algorithm : str
        ``kmeans``, ``xgboost``, ...
    region : str
    version : str, optional
        Default: the one we recommend.

    Raises
    ------
    Unresolved
        The region or version is not in the table; the message names the ways around it.

    Notes
    -----
    Source: the account tables of sagemaker-python-sdk 3.20.0.
    """
    table = _current()
    entry = table["algorithms"].get(algorithm)
    if entry is None:
        raise errors.Unresolved(f"algorithm must be one of {', '.join(sorted(table['algorithms']))}; got {algorithm!r}")
    tag = entry["tags"].get(version or entry["default"])
    if tag is None:
        raise errors.Unresolved(
            f"version of {algorithm} must be one of {', '.join(entry['tags'])}; got {version!r}. Or pass trainingImage=...")
    accounts = table["registries"][entry["registry"]]
    if region is None or region not in accounts:
        raise errors.Unresolved(
            f"no image of {algorithm} is known for region {region!r}; known are {', '.join(sorted(accounts))}. Pass "
            f"trainingImage='<account>.dkr.ecr.{region}.amazonaws.com/{entry['repository']}:{tag}', or add the account in "
            f"a JSON file named by the environment variable {OVERRIDE_VARIABLE}: "
            f'{{"registries": {{"{entry["registry"]}": {{"{region}": "<account>"}}}}}}')
    return f"{accounts[region]}.dkr.ecr.{region}.{_suffix(table, region)}/{entry['repository']}:{tag}"


def _suffix(table: dict[str, Any], region: str) -> str:
    for partition in table["partitions"].values():
        if re.match(partition["region_regex"], region):
            return str(partition["dns_suffix"])
    return "amazonaws.com"


def regions(algorithm: str) -> list[str]:
    """Regions that have the algorithm."""
    table = _current()
    return sorted(table["registries"][table["algorithms"][algorithm]["registry"]])


def versions(algorithm: str) -> list[str]:
    """Versions of the algorithm's container, newest first."""
    return list(_current()["algorithms"][algorithm]["tags"])
