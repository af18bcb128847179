"""Output on terminals: characters that they cannot show, and characters that change them."""

import codecs
import io
import os
import sys
import unicodedata

#: ASCII text for the characters in Passband's messages that some terminals cannot show.
_ASCII = {
    "Å": "A", "µ": "u", "μ": "u", "°": "deg", "±": "+-", "×": "x", "·": ".", "–": "-", "—": "-",
    "−": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "≈": "~", "√": "sqrt", "∞": "inf",
    "²": "2", "³": "3", "⁻": "-", "¹": "1", "½": "1/2", "′": "'", "“": '"', "”": '"', "’": "'",
    "α": "alpha", "γ": "gamma", "Δ": "Delta", "ε": "epsilon", "κ": "kappa", "λ": "lambda",
    "π": "pi", "ρ": "rho", "σ": "sigma", "χ": "chi", "ψ": "psi", "∫": "integral",
    "━": "=", "╺": " ", "╸": "=",
    "█": "#", "▒": "+", "▌": "#", "▏": "|", "─": "-", "│": "|", "●": "*", "✓": "ok",
}  # fmt: skip


def prepare() -> None:
    """Make standard output and standard error write ASCII for characters they cannot encode.

    The output of a stream that can encode all characters, such as a UTF-8 stream, does not change.
    Standard input and standard error, if they are closed, become the null device; otherwise, the
    next file that is opened would have their number. A second call of this function has no effect.
    """
    codecs.register_error("passband-ascii", _readable)
    for name, mode in (("stdin", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
            os.set_inheritable(getattr(sys, name).fileno(), True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="passband-ascii")


def escaped(text: str) -> str:
    """Return a text after characters that would break or redraw its line are escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def remark(line: str) -> None:
    """Write a line to standard error, so that the output has only results."""
    print(escaped(line), file=sys.stderr)


def clean(text: str) -> str:
    """Return a text without control characters, with which a log could change the terminal."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\t", "    "))


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    return "".join(map(_substitute, refused)), error.end


def _substitute(character: str) -> str:
    if character in _ASCII:
        return _ASCII[character]
    # The letter é, for example, is replaced by e, the ASCII letter in it. A character that contains
    # no ASCII character is replaced by a question mark.
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or "?"
