"""How the main screen is laid out at every size."""

from __future__ import annotations

COLUMN_CLASSES = [(0, "-narrow"), (80, "-normal"), (120, "-wide")]
ROW_CLASSES = [(0, "-lowest"), (22, "-low"), (32, "-high")]

GIVES_ROOM = "gives-room"
"""The class of what becomes lower, or goes, while a call waits (-pending) or is decided about
(-deciding)."""
ROOM_GIVEN_BY = "PromptArea, Lines, LearningCharts, LessonStages, .legend"
"""What in there looks otherwise then: all that the rules below name after these two classes."""

CSS = """
ChatScreen {
    #main { width: 1fr; height: 1fr; }
    Conversation { height: 1fr; min-height: 2; }
    Outbox.-deciding { display: none; }
    &.-narrow LearningCharts { display: none; }
    &.-narrow LearningPanel.-deciding, &.-normal LearningPanel.-deciding { display: none; }
    &.-wide LearningPanel {
        dock: right; width: 56; height: 100%; max-height: 100%;
        border-top: none; border-left: solid $panel;
        #evidence { layout: vertical; height: 1fr; max-height: 100%; }
        HeatmapView { width: 100%; max-height: 60%; }
        LearningCharts { width: 100%; height: 1fr; max-height: 100%; padding: 1 0 0 0; }
    }
}
ChatScreen.-low {
    Outbox.-pending PromptArea { max-height: 4; }
    Outbox.-pending QueueList Lines { max-height: 3; }
    ProposalPanel { max-height: 10; }
    &.-normal LearningPanel.-pending, &.-narrow LearningPanel.-pending {
        max-height: 7;
        LearningCharts, HeatmapView .legend { display: none; }
        &.-finished LessonStages { display: none; }
    }
}
ChatScreen.-lowest {
    HistorySearch OptionList { max-height: 3; }
    QueueList Lines { max-height: 2; }
    Outbox.-pending PromptArea { max-height: 2; }
    Outbox.-pending QueueList Lines { max-height: 1; }
    &.-normal LearningPanel.-finished LessonStages { display: none; }
    &.-narrow LearningPanel.-finished LessonStages { display: none; }
    &.-normal LearningPanel.-pending, &.-narrow LearningPanel.-pending {
        max-height: 4;
        LearningCharts, HeatmapView .legend { display: none; }
    }
}
"""
