"""Images that are drawn: the small embedded sets and the corpora for pretraining."""
