"""LangGraph's graphs as chains: their steps are kept, their calls fenced, their interrupts answered by a later turn."""
