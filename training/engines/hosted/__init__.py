"""Models that another machine trains and samples, by the hosted trainer's protocol."""
