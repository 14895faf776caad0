"""What published and measured numbers say about each claim of the catalog. numpy, scipy and pandas only."""
