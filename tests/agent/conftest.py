"""Property tests measure no time here: the machine may be busy."""

from hypothesis import settings

settings.register_profile("calm", deadline=None, max_examples=60)
settings.load_profile("calm")
