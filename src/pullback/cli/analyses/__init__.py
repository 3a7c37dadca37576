"""What may be asked of a trained run: each analysis yields a table, and a picture."""
