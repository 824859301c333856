"""Texts in languages, named at the top of a rule file and said by `t('hello', contact.lang)`.

A text is chosen by its language when it is used, and its expressions see what the expression around
it sees.
"""

import re
from collections.abc import Mapping, Sequence

from ringback.errors import Problem
from ringback.rules.files.reader import Reader
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node
from ringback.rules.functions.function import Function
from ringback.rules.language import scope
from ringback.rules.language.cel import Fault, Language
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.language.templates import Template

SAY = "t"
MOST_TEXTS = 2_000
_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A language, as https://www.rfc-editor.org/rfc/rfc5646 writes it: `en`, `es-MX`, `zh-Hant`."""

Said = Mapping[str, Template | str]
"""One text by its languages. The first is said where the wanted one is not there."""


class Texts:
    """The texts of a project."""

    def __init__(self, known: Mapping[str, Said]) -> None:
        self.known = known

    def say(self, name: str, language: str) -> str:
        """A text in a language, else in the language without its region, else in its first one.
        Raises ValueError when there is no such text, or an expression in it fails."""
        said = self.known.get(name)
        if said is None:
            hint = did_you_mean(name, self.known)
            raise ValueError(f"there is no text {name!r}" + (f"; {hint}" if hint else ""))
        text = said[_best(said, language)]
        found = text.render(scope.current()) if isinstance(text, Template) else text
        if isinstance(found, Fault):
            raise ValueError(f"text {name!r}: {found.message}")
        return found

    @property
    def function(self) -> Function:
        """What conditions and texts call."""
        doc = "The text of this name under `texts`, in this language or else in its first."
        return Function(SAY, self.say, ("string", "string"), "string", doc)


def _best(said: Said, language: str) -> str:
    wanted = language.strip().replace("_", "-").lower()
    tags = {tag.lower(): tag for tag in said}
    while wanted:
        if wanted in tags:
            return tags[wanted]
        wanted = wanted.rpartition("-")[0]
    return next(iter(said))


def read_texts(
    trees: Sequence[tuple[Source, Node]], language: Language, problems: list[Problem]
) -> tuple[Texts, list[Reader]]:
    """The texts of all files, and the readers that know which values they use. What is wrong is
    added to `problems`."""
    known: dict[str, Said] = {}
    readers: list[Reader] = []
    for source, tree in trees:
        node = tree.value.get("texts") if isinstance(tree.value, dict) else None
        items = node.value if node is not None and isinstance(node.value, dict) else {}
        reader = Reader(source, language)
        readers.append(reader)
        for name, item in items.items():
            if name in known:
                text = f"texts {name!r} are there twice, in two files"
                reader.fail_key(node or item, name, "duplicate", text)
            elif not name.isidentifier():
                hint = "use letters, digits and _"
                reader.fail_key(node or item, name, "name", f"{name!r} is no name", hint)
            elif len(known) >= MOST_TEXTS:
                reader.fail_key(node or item, name, "limit", f"more than {MOST_TEXTS} texts")
                break
            else:
                known[name] = _said(name, item, reader)
        problems += reader.problems
    return Texts(known), readers


def _said(name: str, node: Node, reader: Reader) -> Said:
    if not isinstance(node.value, dict) or not node.value:
        hint = f"write `{name}: {{en: Hello., es: Hola.}}`"
        reader.fail(node, "schema", f"the text {name!r} needs its languages", hint)
        return {"en": ""}
    found: dict[str, Template | str] = {}
    for tag, item in node.value.items():
        if not _TAG.fullmatch(tag):
            hint = "write it like en, es or pt-BR"
            reader.fail_key(node, tag, "name", f"{tag!r} is no language", hint)
        found[tag] = reader.text(item)
    return found
