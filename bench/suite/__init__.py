"""What is asked: a TOML file becomes cells."""
