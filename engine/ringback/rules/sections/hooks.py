"""Hooks of rule files: the other systems whose webhooks a project receives."""

import re
from collections.abc import Mapping

from ringback.errors import Problem
from ringback.hooks.definitions import (
    LEAST_TOLERANCE,
    MOST_SECRETS,
    MOST_TOLERANCE,
    NAME,
    SCHEMES,
    STANDARD,
    TIMED,
    TOLERANCE,
    Hook,
    bad_path,
)
from ringback.rules.files.reader import Reader
from ringback.rules.files.schema import HookModel
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.cel import plain_language
from ringback.rules.language.complaints import did_you_mean

_NAME = re.compile(NAME)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HINT = "write `secret: {$env: SHOP_HOOK}`: the variable holds it, in the environment or in .env"


def read_hooks(trees: list[tuple[Source, Node]], problems: list[Problem]) -> dict[str, Hook]:
    """The hooks of all files, by name, those that are wrong among them. What is wrong is added to
    `problems`."""
    hooks: dict[str, Hook] = {}
    plain = plain_language()
    for source, tree in trees:
        node = tree.value.get("hooks") if isinstance(tree.value, dict) else None
        if node is None:
            continue
        reader = Reader(source, plain)
        items = node.value if isinstance(node.value, dict) else {}
        for name, item in items.items():
            if not _NAME.fullmatch(name):
                hint = "use small letters, digits, - and _: it stands in the address"
                reader.fail_key(node, name, "name", f"{name!r} is no name of a hook", hint)
            elif name in hooks:
                text = f"the hook {name!r} is there twice, in two files"
                reader.fail_key(node, name, "duplicate", text)
            else:
                hooks[name] = _hook(reader, name, item)
        problems += reader.problems
    return hooks


def _hook(reader: Reader, name: str, node: Node) -> Hook:
    children: Mapping[str, Node] = node.value if isinstance(node.value, dict) else {}
    secrets = _secrets(reader, children["secret"]) if "secret" in children else ()
    if "secret" in children and not secrets:
        return Hook(name, ())
    model = reader.model(node, HookModel)
    if model is None:
        return Hook(name, ())
    scheme = children.get("scheme")
    if scheme is not None and model.scheme not in SCHEMES:
        hint = did_you_mean(model.scheme, SCHEMES) or "known: " + ", ".join(SCHEMES)
        reader.fail(scheme, "schema", f"unknown scheme {model.scheme!r}", hint)
    for word in ("phone", "id"):
        if word in children and (wrong := bad_path(getattr(model, word))):
            reader.fail(children[word], "schema", f"{word!r}: {wrong}")
    tolerance = children.get("tolerance")
    if tolerance is not None and model.scheme in SCHEMES and model.scheme not in TIMED:
        text = f"`tolerance` has no meaning with `scheme: {model.scheme}`, which signs no time"
        reader.fail(tolerance, "schema", text, f"those that do: {', '.join(TIMED)}")
    elif tolerance is not None and not LEAST_TOLERANCE <= model.tolerance <= MOST_TOLERANCE:
        reader.fail(tolerance, "schema", "'tolerance' must be from 10s to 1h")
    return Hook(
        name, secrets, model.scheme or STANDARD, model.phone, model.id,
        model.tolerance or TOLERANCE,
    )  # fmt: skip


def _secrets(reader: Reader, node: Node) -> tuple[str, ...]:
    """The variables that hold the secrets; empty when something is wrong, which is then noted."""
    items = node.value if isinstance(node.value, list) else [node]
    found = []
    for item in items:
        words = item.value if isinstance(item.value, dict) else {}
        variable = words["$env"].value if set(words) == {"$env"} else None
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            text = "a secret does not stand in a rule file" if not words else "names no variable"
            reader.fail(item, "schema", f"'secret': {text}", _HINT)
            return ()
        found.append(variable)
    if not 0 < len(found) <= MOST_SECRETS:
        reader.fail(node, "schema", f"'secret' needs one to {MOST_SECRETS} variables", _HINT)
        return ()
    return tuple(dict.fromkeys(found))
