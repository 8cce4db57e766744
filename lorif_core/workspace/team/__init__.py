"""What a team does together: guidelines, comments, rounds of review, progress and agreement."""
