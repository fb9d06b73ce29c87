"""How fast a registry is written to, and when again: slots, limit, outage, pacing, retries."""
