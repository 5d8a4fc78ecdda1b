"""Comments that cut a text short: YAML reads `- a mug with the text #1 dad` as a prompt without its end.

The letter of YAML allows it, and hardly any prompt means it. So where prose is expected (prompts, the values of
variables, negative prompts), a comment after a text without quotes is a mistake. On a line of its own, after quotes and
after any other value it is what it always was.
"""

from collections.abc import Iterator

from pipeline.job.diagnostics.diagnostic import Diagnostics
from pipeline.job.yaml.scalars import Scalar, shown
from pipeline.job.yaml.yaml12 import Node, YamlDocument
from pipeline.model import Place


def check(document: YamlDocument, mistakes: Diagnostics) -> None:
    """Note each text of a job that a comment may have cut short."""
    for node in _texts(document.root):
        if node.comment:
            place = Place(document.file, *node.comment.at)
            kept = f"after {shown(node.value)}" if isinstance(node.value, str) else "here"
            whole = f"{node.value or ''} {node.comment.text}".strip()
            message = f"{kept} everything from # on is a comment: {shown(node.comment.text)}"
            quoted = whole if len(whole) <= 60 else f"{whole[:57]}…"
            cure = f"if it belongs to the text, put all of it in quotes: {_quoted(quoted)}"
            mistakes.add(place, message, f"{cure}; if not, write the comment on a line of its own")


def _quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text and "\\" not in text else "'" + text.replace("'", "''") + "'"


def _texts(root: Node) -> Iterator[Node]:
    """The nodes that are prose: each prompt, each value of a variable, each negative prompt."""
    yield from _of_mapping(root)
    prompts = _child(root, "prompts")
    for entry in prompts.value if prompts and isinstance(prompts.value, list) else ():
        if isinstance(entry.value, dict):
            yield from _of_mapping(entry)
            if prompt := _child(entry, "prompt"):
                yield prompt
        else:
            yield entry


def _of_mapping(node: Node) -> Iterator[Node]:
    """What an entry, or the job itself, says for the words of its prompts."""
    variables, parameters = _child(node, "variables"), _child(node, "parameters")
    for _, value in variables.value.values() if variables and isinstance(variables.value, dict) else ():
        for one in value.value if isinstance(value.value, list) else [value]:
            # A number is whole before its comment.
            if not isinstance(one.value, Scalar):
                yield one
    negative = _child(parameters, "negative_prompt") if parameters else None
    if negative:
        yield negative


def _child(node: Node, key: str) -> Node | None:
    pair = node.value.get(key) if isinstance(node.value, dict) else None
    return pair[1] if pair else None
