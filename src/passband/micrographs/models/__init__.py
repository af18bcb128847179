"""Networks as what looks at images gets them: numbers in, numbers out."""
