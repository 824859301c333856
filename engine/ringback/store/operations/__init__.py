"""Operations of people as the store writes them: each with its audit row, in one unit of work."""
