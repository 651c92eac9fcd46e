"""`$filter`: a small parser for the part of OData's grammar that the sandbox evaluates. Anything else is refused.

condition   = conjunction *( "or" conjunction )
conjunction = term *( "and" term )
term        = "(" condition ")" | comparison | call [ ( "eq" | "ne" ) ( "true" | "false" ) ]
comparison  = property ( "eq" | "ne" | "gt" | "ge" | "lt" | "le" ) literal
call        = "startswith(" property "," string ")" | "substringof(" string "," property ")"
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sap_sandbox import edm
from sap_sandbox.schema import Edm, EntityType, Property

DEPTH_MAX = 50
TERMS_MAX = 200
"""SQLite refuses an expression more than 1000 deep, and a chain of n terms is n deep."""

OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le")

_TOKEN = re.compile(
    r"""\s*(?:(?P<literal>(?:datetimeoffset|datetime)?'(?:[^']|'')*' | -?\d+(?:\.\d+)?[mM]?(?![\w.']) )
           |(?P<name>[A-Za-z_]\w*(?![\w/']))
           |(?P<mark>[(),]))""",
    re.VERBOSE | re.ASCII,
)


class FilterError(ValueError):
    """The filter cannot be parsed, or asks for something that is not supported. The message says what."""


@dataclass(frozen=True)
class Comparison:
    """A property compared with a value."""

    prop: Property
    operator: str
    value: edm.Value


@dataclass(frozen=True)
class TextMatch:
    """`startswith` or `substringof`; `expected` is false where the filter asks for the opposite."""

    function: str
    prop: Property
    text: str
    expected: bool = True


@dataclass(frozen=True)
class Combination:
    """Several conditions, all of which (`and`) or one of which (`or`) must hold."""

    word: Literal["and", "or"]
    terms: tuple["Condition", ...]


Condition = Comparison | TextMatch | Combination


def parse(text: str, entity: EntityType) -> Condition:
    """The condition that the filter states about entities of that type.

    Raises:
        FilterError: see there.
    """
    return _Parser(text, entity).whole()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if not match or match.lastgroup is None:
            raise FilterError(f"not understood at position {position + 1}: {text[position : position + 20].strip()!r}")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, text: str, entity: EntityType) -> None:
        self._entity = entity
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._terms = 0

    def whole(self) -> Condition:
        condition = self._condition()
        if self._next < len(self._tokens):
            raise FilterError(f"the end, 'and' or 'or' is expected, got {self._tokens[self._next].text!r}")
        return condition

    def _condition(self) -> Condition:
        return self._chain("or", lambda: self._chain("and", self._term))

    def _chain(self, word: Literal["and", "or"], part: Callable[[], Condition]) -> Condition:
        terms = [part()]
        while self._takes(word):
            terms.append(part())
        return terms[0] if len(terms) == 1 else Combination(word, tuple(terms))

    def _term(self) -> Condition:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise FilterError(f"more than {TERMS_MAX} terms")
        if self._takes("("):
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise FilterError(f"more than {DEPTH_MAX} parentheses in each other")
            condition = self._condition()
            self._expect(")")
            self._depth -= 1
            return condition
        token = self._take("name", "a property, a function or '('")
        if self._takes("("):
            return self._call(token.text)
        prop = self._property(token.text)
        operator = self._operator()
        literal = self._take("literal name", "a literal")
        return self._comparison(prop, operator, literal.text)

    def _comparison(self, prop: Property, operator: str, literal: str) -> Comparison:
        if prop.edm is Edm.BOOLEAN and operator not in ("eq", "ne"):
            raise FilterError(f"{prop.name} can be compared by eq and ne only")
        try:
            return Comparison(prop, operator, edm.from_literal(prop, literal))
        except edm.ValueFormatError as error:
            raise FilterError(f"{prop.name}: {error}") from None

    def _call(self, function: str) -> TextMatch:
        if function == "startswith":
            prop = self._property(self._take("name", "a property").text)
            self._expect(",")
            literal = self._take("literal", "a string")
        elif function == "substringof":
            literal = self._take("literal", "a string")
            self._expect(",")
            prop = self._property(self._take("name", "a property").text)
        else:
            raise FilterError(f"function {function!r} is not supported")
        self._expect(")")
        if prop.edm is not Edm.STRING or not literal.text.startswith("'"):
            raise FilterError(f"{function} takes a property of type {Edm.STRING} and a string")
        return TextMatch(function, prop, literal.text[1:-1].replace("''", "'"), self._expected_result())

    def _expected_result(self) -> bool:
        for operator in ("eq", "ne"):
            if self._takes(operator):
                literal = self._take("name", "true or false").text
                if literal not in ("true", "false"):
                    raise FilterError(f"true or false is expected, got {literal!r}")
                return (literal == "true") == (operator == "eq")
        return True

    def _operator(self) -> str:
        operator = self._take("name mark literal", "a comparison").text
        if operator not in OPERATORS:
            raise FilterError(f"one of {', '.join(OPERATORS)} is expected, got {operator!r}")
        return operator

    def _property(self, name: str) -> Property:
        if prop := self._entity.find(name):
            return prop
        raise FilterError(f"{name!r} is no property of {self._entity.set_name}, or not supported")

    def _takes(self, text: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next].text == text
        self._next += found
        return found

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise FilterError(f"{text!r} is expected, got {self._shown()}")

    def _take(self, kinds: str, expected: str) -> _Token:
        if self._next >= len(self._tokens) or self._tokens[self._next].kind not in kinds.split():
            raise FilterError(f"{expected} is expected, got {self._shown()}")
        self._next += 1
        return self._tokens[self._next - 1]

    def _shown(self) -> str:
        return repr(self._tokens[self._next].text) if self._next < len(self._tokens) else "the end"
