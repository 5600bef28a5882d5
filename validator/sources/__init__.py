"""Sources of facts: each reads an estate from code, from a plan or from live accounts."""
