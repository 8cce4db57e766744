"""How good the scores are: retraining, references and planted texts as judges."""
