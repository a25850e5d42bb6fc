"""What the lint of sinks knows by name: who sanitises, who gives numbers, who passes text on."""

from __future__ import annotations

import re

SANITISERS = frozenset(
    "content json_line mark_of one_line prose shown_exactly shown_line shown_row token_text "
    "visible visible_path wanted_text".split()
)
"""Functions of the sanitising modules whose answers may be shown."""
SANITISING = frozenset("sanitise visible heatmap_layout verbs".split())
SINKS = frozenset(
    "Static Label Button Checkbox Option OptionList Select Content Segment Text Span Style Strip "
    "ConfirmScreen Field".split()
)
"""What is built of text and looked at where it is built."""
NUMBERS = frozenset(
    "abs bool cell_len count enumerate float frozenset id index int isfinite isinstance len "
    "monotonic ord perf_counter range round sum time now divmod bisect_right first_change".split()
)
"""Calls that give numbers, or nothing that is text."""
NUMERIC_ATTRIBUTES = frozenset("line_count option_count cell_length".split())
PASSING = frozenset(
    "list tuple sorted reversed zip chain filter map max min next iter set dict str cast repeat "
    "pairwise set_cell_size islice repr".split()
)
"""Calls whose answer is made of their arguments."""
STRING_METHODS = frozenset(
    "capitalize center expandtabs format items join ljust lower lstrip partition removeprefix "
    "removesuffix replace rjust rpartition rstrip split splitlines strip title upper values keys "
    "get pop copy zfill truncate stylize wrap divide pad_right add_spans append_text".split()
)
"""Methods whose answer is made of the receiver and the arguments."""
SHOWN_TYPES = re.compile(
    r"(?:None|int|float|bool|Shown|Content|Option|Strip|Style|Segment|Table|datetime"
    r"|Literal\[.*\])"
)
NUMERIC_SPEC = re.compile(r".*[dfeg%nxX,]")
WRAPPERS = re.compile(
    r"(?:reactive|list|tuple|Sequence|Iterable|Iterator|Mapping|dict|var|Final|ClassVar|set"
    r"|frozenset)\[(.*)\]"
)
