"""Did it get slower: base against head in process pairs."""
