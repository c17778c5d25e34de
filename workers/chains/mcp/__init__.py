"""Tools of MCP servers, which may be broken or hostile: their answers are read within bounds."""
