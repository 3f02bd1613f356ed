"""A settings file: YAML, read as text with line numbers, so that every value keeps its place and its spelling.

Scalars are not converted by YAML (where ``no`` is false and ``1.10`` is 1.1) but by the setting they are for.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rayyarn.setting import Setting


def read(
    path: Path, shown: str, settings: Mapping[str, Setting], problems: list[str]
) -> Iterator[tuple[str, Any, int]]:
    """Each setting in the file ``path`` as (key, text or list or mapping of texts, line from 1).

    What is wrong goes to ``problems``, with the file as it is ``shown`` to people and the line.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        problems.append(f"{shown}{f':{mark.line + 1}' if mark else ''}: not YAML: {problem.problem}")
        return
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        problems.append(f"{shown}: cannot be read: {getattr(problem, 'strerror', None) or problem}")
        return
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        problems.append(f"{shown}:{_line(root)}: a list of `key: value` is expected")
        return
    yield from _section(root, "", shown, settings, problems)


def _section(
    node: yaml.MappingNode, prefix: str, shown: str, settings: Mapping[str, Setting], problems: list[str]
) -> Iterator[tuple[str, Any, int]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key, where = prefix + str(key_node.value), f"{shown}:{_line(key_node)}"
        if key in seen:
            problems.append(f"{key}: given twice ({where})")
        seen.add(key)
        if key in settings and "." not in key.removeprefix(prefix):
            try:
                yield key, _value(value_node, settings[key]), _line(key_node)
            except ValueError as problem:
                problems.append(f"{key}: {problem} ({where})")
        elif any(other.startswith(key + ".") for other in settings):
            if isinstance(value_node, yaml.MappingNode):
                yield from _section(value_node, key + ".", shown, settings, problems)
            else:
                inside = ", ".join(o.removeprefix(key + ".") for o in settings if o.startswith(key + "."))
                problems.append(f"{key}: a section with {inside} is expected ({where})")
        else:
            problems.append(f"{key}: no such key{_nearest(key, prefix, settings)} ({where})")


def _nearest(key: str, prefix: str, settings: Mapping[str, Setting]) -> str:
    if key in settings:  # worker.memory written flat
        section, _, leaf = key.rpartition(".")
        return f"; write it as {section}: {{{leaf}: ...}}"
    known = {*settings, *(other.partition(".")[0] for other in settings)}
    near = get_close_matches(key.replace("_", "-"), known, 1)
    if not near:
        return ""
    inside = prefix and near[0].startswith(prefix)
    return f"; did you mean {near[0].removeprefix(prefix) if inside else near[0]}?"


def _value(node: yaml.Node, setting: Setting) -> Any:
    """Texts as they are written. Raises ValueError when the shape cannot be what ``setting`` takes."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag.endswith(":null"):
            raise ValueError(f"it has no value; write for example {setting.example!r}")
        if setting.kind == "mapping":
            raise ValueError("a section of NAME: value is expected")
        return node.value
    if isinstance(node, yaml.SequenceNode) and setting.kind in ("paths", "files", "names"):
        return [_scalar(item) for item in node.value]
    if isinstance(node, yaml.MappingNode) and setting.kind == "mapping":
        return {_scalar(name): _scalar(value) for name, value in node.value}
    kind = "a list" if isinstance(node, yaml.SequenceNode) else "a section"
    raise ValueError(f"{kind} where one value is expected; write for example {setting.example!r}")


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null"):
        raise ValueError("each entry must be one text")
    return str(node.value)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
