"""From one language to another: scripts, bilingual lexicons and aligned word vectors."""
