"""A training service on loopback that speaks the hosted trainer's wire protocol, for tests."""
