# ruff: noqa: E501 - a table of strings
"""Strings that programs have stumbled over, made here from what they are made of."""

from __future__ import annotations

import unicodedata
from itertools import product

ESC, BEL, ST, CSI, OSC, DCS = "\x1b", "\x07", "\x1b\\", "\x1b[", "\x1b]", "\x1bP"
CONTROLS = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cc"]
FORMATS = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"]

SEQUENCES = [
    f"{intro}{rest}"
    for intro, rests in {
        CSI: ("2J", "H", "31m", "0m", "?1049l", "?25l", "?1000h", "?2004l", "6n", "c", "5n", "8;9;9t",
              "1;1H", "K", "2K", "L", "M", "P", "s", "u", "!p", "3J", "99;99r", "?1h", ">1u", "38;5;196m",
              "8m", "1000A", "x", "?", "", ";;;;m", "9999999999999999999m"),
        OSC: (f"0;owned{BEL}", f"2;owned{ST}", f"52;c;cm0gLXJmIC8={BEL}", f"8;;http://x{ST}a{OSC}8;;{ST}",
              f"4;1;?{BEL}", f"10;?{ST}", f"11;#ffffff{ST}", f"7;file://x/y{ST}", f"133;A{BEL}",
              f"1337;File=inline=1:AAAA{BEL}", f"777;notify;a;b{BEL}", "0;never ended", f"9;4;1;1{ST}"),
        DCS: (f"$q m{ST}", f"+q544e{ST}", f"tmux;{ESC}{ESC}[2J{ST}", f"q#0;2;0;0;0~{ST}", "0;1|17/ab"),
        ESC: ("c", "7", "8", "D", "M", "N", "O", "Z", "(0", "#8", "=", ">", "_x" + ST, "^x" + ST, "Xx" + ST,
              "%G", "n", "|", "}", "~", "[", "]", "P", "\\", ESC),
        "\x9b": ("2J", "31m", "6n", "?1049l", "H"),
        "\x9d": (f"0;owned{BEL}", "52;c;eA==\x9c", "8;;x\x9c"),
        "\x90": ("q~\x9c", "$qm\x9c"),
        "": ("\x84", "\x85", "\x88", "\x8d", "\x8e", "\x8f", "\x98x\x9c", "\x9ex\x9c", "\x9fx\x9c"),
    }.items()
    for rest in rests
]  # fmt: skip

MARKUP = [
    opening + word + closing
    for (opening, closing), word in product(
        [("[b]", "[/b]"), ("[/", "]"), ("[", ""), ("", "]"), ("[b ", "+"), ("[@click=app.quit]", "[/]"),
         ("[on red]", "[/red]"), ("[link=http://x]", "[/link]"), ("[$primary]", ""), ("[[", "]]"),
         ("\\[", "]"), ("[#", "]"), ("[/", ""), ("[rgb(", ")]"), ("[not ", "]"), ("[b][i]", "[/b][/i]"),
         ("[@click=\"app.bell('", "')\"]"), ("[ ", " ]"), ("{", "}"), ("${", "}"), ("%(", ")s"), ("{0.", "}")],
        ["", "word", "a b", "/", "]["],
    )
]  # fmt: skip

MARKDOWN = [
    "# ", "#" * 7 + " x", "```", "```\x1b[2J", "~~~", "`", "``` `", "*" * 99, "_" * 99, "[" * 99, "](" * 60,
    "![](x)", "![a](javascript:x)", "[a](b \"c\x1b\")", "<http://\x1b]0;x\x07>", "<script>x</script>",
    "<b>x</b>", "<!-- ", "<?x", "<![CDATA[", "&#27;[2J", "&#x9b;31m", "&#8238;", "&rlm;", "&ZeroWidthSpace;",
    "&shy;", "&nbsp;", "&#0;", "&#x110000;", "&lt;", "&", "&;", "|a|b|\n|-|-|\n|\x1b|\u202e|", "|" * 40,
    "> " * 60, "- " * 60, "1. " * 40, "- [ ] x", "- [x] \x1b", "***", "---", "===", "a\n===", "[^1]: x",
    "[a]: http://x", "[a][b]", "\\\x1b", "\\" * 50, "http://x/\u202e", "a  \nb", "\ta", "    code\x1b",
    "$$x$$", "~~x~~", "==x==", ":smile:", "@user", "#1", "a\\\nb", "<a href=\"x\" onclick=y>z</a>",
]  # fmt: skip

WORDS = [
    "", " ", "  ", "\u00a0", "\u3000", "\u2003\u2009", "null", "None", "undefined", "NaN", "-0", "1e999",
    "0x0", "true", "\\", "\\\\", "\\0", "\\n", "%", "%s%n%d", "%00", "{}", "{0}", "${HOME}", "$(id)", "`id`",
    "; rm -rf /", "&& x", "| x", "> x", "< x", "'", '"', "'\"", "''", "\"\"\"", "--", "-rf", "--help", "~",
    "*", "?", "!!", "#", "../../etc/passwd", "/dev/null", "C:\\con", "COM1", ".", "..", "a/", "//x", "file:///x",
    "' OR 1=1 --", "1;DROP TABLE x", "<img src=x onerror=y>", "<svg/onload=y>", "javascript:x", "%3Cx%3E",
    "<tool_call>", "</tool_call>", "<|im_start|>", "<|endoftext|>", "[INST]", "</s>", "<think>",
    "\ufeffx", "\ufffe", "\uffff", "\ufffd", "\ufffc", "\ufdd0", "\U0001fffe", "\U0010ffff", "\ue000",
    "\ud800", "\udfff", "\ud83d", "\udcff\udc80", "a\udce9", "é", "e\u0301", "e" + "\u0301" * 60, "ﷺ", "ﷺ" * 20,
    "ⅷ", "ſ", "İ", "ı", "ß", "ẞ", "ǅ", "ﬁ", "Å", "Å", "日本語", "한국어", "ｆｕｌｌ", "ｶﾅ", "العربية",
    "עברית", "हिन्दी", "ไทย", "மொழி", "ខ្មែរ", "\u202eabc\u202c", "\u2066a\u2069", "a\u200bb", "a\u200db",
    "👩\u200d💻", "❤\ufe0f", "🏳\ufe0f\u200d🌈", "🇩🇪", "🇩", "👍🏽", "1\ufe0f\u20e3", "\u20e3", "🫠" * 30,
    "\U000e0041\U000e0042", "a\ufe00\ufe01", "\u180e", "\u034f", "\u115f\u1160", "\u3164", "\u2800" * 9,
    "Z̷̗̈a̴͚̾l̶̰̚g̵̹̑o̷̲͐", "\u0e01\u0e34\u0e34\u0e34", "\u0489" * 9, "⟨ESC⟩", "⟨U+202E⟩", "⟨0xFF⟩", "⟨", "⟨⟨ESC⟩⟩",
    "<U+001B>", "^[[2J", "\\x1b[2J", "\\033[2J", "\\u001b", "a\rb", "a\r\nb", "\r", "\n", "\n\n\n", "a\x0bb",
    "a\x0cb", "a\x08\x08b", "a\x7fb", "\x00", "a\x00b", "\t", "a\tb\tc", "\x1a", "\x04", "\x03", "\x11\x13",
    "\x0e\x0f", "\x05", "\u2028", "\u2029", "\x85", "a\u0085b", "x" * 5_000, "日" * 2_000, "é" * 3_000,
    " " * 3_000, "a " * 2_000, "\u200b" * 1_000, "\x1b" * 500, "\u202e" * 300, "[" * 500, "]" * 500,
    "(" * 500, "\\" * 500, "a\n" * 500, "\t" * 200, "0" * 400, "９" * 100, "١٢٣", "½", "²", "∞", "−1",
    "1,000", "1.000,5", "00001", "+1", "1_000", "0b1", "१", "Ω≈ç√∫", "œ∑´®†", "¡™£¢∞§", "¸˛Ç◊ı˜Â¯˘¿",
    "⁰⁴⁵", "₀₁₂", "˙ɐnbᴉlɐ", "𝕋𝕙𝕖", "𝓉𝒽ℯ", "🅃🄷🄴", "⒯⒣⒠", "ᚻᛖ", "𐌀𐌁", "𓀀", "𝄞", "𝅙", "\U0001d173",
    "→ ", "·", "⟵ no newline at the end", "│ x", "╭─╮", "█▉▊", "⣿", "✓", "\u0600", "\u06dd", "\u070f", "\u08e2",
    "\U000110bd", "\U0001bca0", "\U00013430", "\ufff9a\ufffab\ufffb", "\u2060\u2061\u2062\u2063\u2064",
    "\u206a\u206f", "\u061c", "\u00ad\u00ad", "a\u00adb",
]  # fmt: skip

STRINGS = list(
    dict.fromkeys(
        [
            *SEQUENCES, *MARKUP, *MARKDOWN, *WORDS,
            *(f"a{each}b" for each in SEQUENCES),
            *(f"{one}{other}" for one, other in zip(SEQUENCES, reversed(SEQUENCES), strict=True)),
            *(f"{one} {other}" for one, other in zip(MARKUP, WORDS, strict=False)),
        ]
    )
)  # fmt: skip
"""The corpus, without the single code points."""
POINTS = [*CONTROLS, *FORMATS]
"""Every control and format character that there is."""
