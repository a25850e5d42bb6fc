"""Turn, approval, lesson and session, free of any screen."""
