"""Syntax colours, as theme variables, for code that Pygments has read."""

from __future__ import annotations

from pygments.token import Token
from textual.highlight import HighlightTheme


class SyntaxTheme(HighlightTheme):
    """Quiet syntax colours that stay readable on the backgrounds of a diff."""


SyntaxTheme.STYLES = {
    Token.Comment: "$syntax-comment italic",
    Token.Generic.Heading: "bold",
    Token.Generic.Strong: "bold",
    Token.Generic.Emph: "italic",
    Token.Keyword: "$syntax-keyword",
    Token.Keyword.Constant: "$syntax-number",
    Token.Literal.Number: "$syntax-number",
    Token.Literal.String: "$syntax-string",
    Token.Literal.String.Doc: "$syntax-comment italic",
    Token.Literal.String.Escape: "$syntax-number",
    Token.Literal.String.Interpol: "$syntax-number",
    Token.Name.Attribute: "$syntax-name",
    Token.Name.Builtin: "$syntax-name",
    Token.Name.Class: "$syntax-name bold",
    Token.Name.Decorator: "$syntax-name",
    Token.Name.Function: "$syntax-name bold",
    Token.Name.Tag: "$syntax-keyword",
    Token.Operator.Word: "$syntax-keyword",
}
