"""What exists: models, families, data sets, published numbers and claims, as rows of CSV and TOML."""
