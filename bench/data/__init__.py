"""Which images: sets, formats, the look before use, decoding."""
