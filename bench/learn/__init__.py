"""How weights come about: from scratch, pretrained, fine-tuned, a linear head."""
